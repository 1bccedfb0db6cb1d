"""The switch to the release in the shadow, if it passes the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edgemnist.agent import SelfTestLimits
from edgemnist.agent.apply import no_shadow
from edgemnist.deploy.answers import convert, decode
from edgemnist.deploy.remote import ANSWER_S, EXPORTS, ask_module, switch_on
from edgemnist.deploy.run import MOST_WAIT_S, MOST_WORK_S
from edgemnist.errors import DeployError, check_range
from edgemnist.formatting import count, percent
from edgemnist.results.boards import PromoteResult, RollbackResult
from edgemnist.shadow import Evidence
from edgemnist.verify.statistics import mcnemar_p

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress

SHADOW: Final = "{shadow}"
"""Stands for the export directory of the release in the shadow in the words of a command."""
SIGNIFICANT: Final = 0.05
"""Of McNemar's test on the samples with a label, as in `edgemnist learn`."""
OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PromoteConfig:
    """When a release may take over. Raises UsageError for a value out of its range."""

    samples: str = "samples"
    """Directory of samples on the board."""
    least: int = 100
    """Images that it must have answered in the shadow."""
    max_differing: float = 0.02
    """Share of its answers that may differ, unless labels say that it is better."""
    limits: SelfTestLimits = field(default_factory=SelfTestLimits)
    wait_s: float = 60.0

    def __post_init__(self) -> None:
        check_range("--least", self.least, least=0)
        check_range("--max-differing", self.max_differing, least=0, most=1)
        check_range("--wait", self.wait_s, least=0, most=MOST_WAIT_S)


def gate(evidence: Evidence, config: PromoteConfig) -> list[str]:
    """Return why the release in the shadow is not to take over, in sentences; none if it is."""
    compared = 0 if evidence.tally is None else evidence.tally.compared
    differing = 0 if evidence.tally is None else evidence.tally.differing
    reasons = []
    if compared < config.least:
        reasons.append(
            f"It has answered {count(compared, 'image')} in the shadow, but --least asks for {config.least:,}. "
            "Wait, or lower --least."
        )
    if evidence.broken > evidence.fixed:
        reasons.append(
            f"It is not better on {count(evidence.images, 'sample')} with a label: {evidence.fixed:,} fixed, "
            f"{evidence.broken:,} broken."
        )
        return reasons
    p_value = mcnemar_p(evidence.broken, evidence.fixed)
    better = p_value is not None and p_value < SIGNIFICANT
    if not better and differing > config.max_differing * compared:
        reasons.append(
            f"{differing:,} of its {count(compared, 'answer')} {'differs' if differing == 1 else 'differ'}, "
            f"at most {percent(config.max_differing)} may, and the labels are too few to tell which release is "
            "right: label these samples with `edgemnist review --on`."
        )
    return reasons


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
    words = ["edgemnist.shadow", EXPORTS, SHADOW, config.samples]
    # The models answer every sample with a label.
    said = ask_module(target, words, {}, limit_s=ANSWER_S)
    found = convert(name, decode(name, said, dict[str, Any]), Evidence)
    if found.release is None:
        missing = no_shadow("")
        raise DeployError(f"{name}: {missing.message}", hint=missing.hint)
    reasons = gate(found, config)
    result = PromoteResult(
        host=name,
        passed=not reasons,
        reasons=reasons,
        release=found.release,
        compared=0 if found.tally is None else found.tally.compared,
        differing=0 if found.tally is None else found.tally.differing,
        unlabelled=found.unlabelled,
        labelled=found.images,
        before=found.before,
        after=found.after,
        fixed=found.fixed,
        broken=found.broken,
        p_value=mcnemar_p(found.broken, found.fixed) if found.images else None,
    )
    if reasons:
        return result
    answer = _switch(target, found.release, config, on_step)
    return msgspec.structs.replace(result, previous=answer.previous, interrupted=answer.interrupted)


def _switch(target: BoardAddress, release: str | None, config: PromoteConfig, on_step: OnStep) -> RollbackResult:
    request = {"release": release, "wait_s": config.wait_s, "limits": asdict(config.limits)}
    limit_s = MOST_WORK_S + config.wait_s + config.limits.timeout_s
    return switch_on(target, "promote", request, on_step, limit_s=limit_s)
