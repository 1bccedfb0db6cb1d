"""The switch to the release in the shadow, if it passes the gate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from edgemnist import __version__
from edgemnist.board.agent.apply import no_shadow
from edgemnist.errors import DeployError, check_range
from edgemnist.field.shadow import Evidence
from edgemnist.fleet.deploy.run import MOST_WAIT_S, MOST_WORK_S, switch_on
from edgemnist.fleet.deploy.target import ANSWER_S, BoardAddress
from edgemnist.ground.boards import EXPORTS
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.boards import PromoteResult, RollbackResult
from edgemnist.ground.results.verdict import UNKNOWN, Basis, Measurement, Verdict, judge, origin_of
from edgemnist.pipeline.verify.statistics import is_significant_loss, mcnemar_p

SHADOW: Final = "{shadow}"
"""Stands for the export directory of the release in the shadow in the words of a command."""
LEAST: Final = 100
"""Images that it must have answered where nobody gives a number."""
MOST_DIFFERING: Final = 0.02
"""Share of the answers that may differ where nobody gives a limit and labels do not say which release is right."""
MOST_DIFFERING_IF_BETTER: Final = 0.2
"""The same where labels say that the new release is better: a few labels say little about a model that answers most of
what comes in differently."""
OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PromoteConfig:
    """When a release may take over. Raises UsageError for a value out of its range."""

    samples: str = "samples"
    """Directory of samples on the board."""
    least: int | None = None
    """Images that it must have answered in the shadow; None for `LEAST`."""
    max_differing: float | None = None
    """Share of its answers that may differ, whatever labels say; None for `MOST_DIFFERING`, or more with labels."""
    wait_s: float = 60.0

    def __post_init__(self) -> None:
        check_range("--least", self.least, least=1)
        check_range("--max-differing", self.max_differing, least=0, most=1)
        check_range("--wait", self.wait_s, least=0, most=MOST_WAIT_S)


def gate(evidence: Evidence, config: PromoteConfig) -> Verdict:
    """Return whether the release in the shadow is to take over; it is not where that is unknown."""
    compared, differing = (0, 0) if evidence.tally is None else (evidence.tally.compared, evidence.tally.differing)
    # An earlier version takes what a release has learnt from for evidence, too.
    better = evidence.left_out is not None and is_significant_loss(evidence.fixed, evidence.broken)
    least, most, why = config.least or LEAST, config.max_differing, "--max-differing says so"
    if most is None:
        most = MOST_DIFFERING_IF_BETTER if better else MOST_DIFFERING
        why = "the labels are too few to tell which release is right: label these samples with `edgemnist review --on`"
        if better:
            why = "labels speak for it, but not for so much: if you want that, set --max-differing"
    few = f"It has answered {count(compared, 'input')} in the shadow, but --least asks for {least:,}. "
    worse = f"{count(evidence.images, 'sample')} with a label: {evidence.fixed:,} fixed, {evidence.broken:,} broken."
    differ = f"{count(compared, 'answer')} {'differs' if differing == 1 else 'differ'}, at most {percent(most)} may"
    measurements = [
        Measurement(
            "least", compared, f"{few}Wait, or lower --least.",
            least=least, origin=origin_of(config.least), otherwise=UNKNOWN,
        ),
        Measurement("broken", evidence.broken, f"It is not better on {worse}", most=evidence.fixed),
        Measurement(
            "max-differing", differing / compared if compared else None, f"{differing:,} of its {differ}, and {why}.",
            most=most, origin=origin_of(config.max_differing),
            unknown="None of its answers has been compared with those of the release that serves.",
        ),
    ]  # fmt: skip
    basis = Basis(artifact=evidence.sha256, model=evidence.beside, edgemnist=__version__, images=compared)
    return judge(measurements, basis)


def promote_on(
    target: BoardAddress, config: PromoteConfig, *, drop: bool = False, on_step: OnStep = lambda _: None
) -> PromoteResult:
    """Let the release in the shadow of a board serve if it passes the gate; with `drop`, no longer answer.

    Ctrl-C ends it if the switch has not begun. Raises what the board reports.
    """
    name = target.host.name
    if drop:
        answer = _switch(target, None, config, on_step)
        return PromoteResult(host=name, passed=True, dropped=True, release=answer.release, previous=answer.previous)
    on_step("evidence")
    words = ["edgemnist.field.shadow", EXPORTS, SHADOW, config.samples]
    # The models answer every sample with a label.
    found = target.read(target.ask_module(words, limit_s=ANSWER_S), Evidence)
    if found.release is None:
        missing = no_shadow("")
        raise DeployError(f"{name}: {missing.message}", hint=missing.hint)
    verdict = gate(found, config)
    result = PromoteResult(
        host=name,
        **verdict.said,
        release=found.release,
        compared=0 if found.tally is None else found.tally.compared,
        differing=0 if found.tally is None else found.tally.differing,
        unlabelled=found.unlabelled,
        labelled=found.images,
        left_out=found.left_out or 0,
        before=found.before,
        after=found.after,
        fixed=found.fixed,
        broken=found.broken,
        p_value=mcnemar_p(found.broken, found.fixed) if found.images else None,
    )
    if not verdict.passed:
        return result
    answer = _switch(target, found.release, config, on_step)
    return msgspec.structs.replace(result, previous=answer.previous, interrupted=answer.interrupted)


def _switch(target: BoardAddress, release: str | None, config: PromoteConfig, on_step: OnStep) -> RollbackResult:
    request = {"release": release, "wait_s": config.wait_s}
    return switch_on(target, "promote", request, on_step, limit_s=MOST_WORK_S + config.wait_s)
