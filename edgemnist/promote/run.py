"""The switch to the release in the shadow, if it passes the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edgemnist.agent.apply import no_shadow
from edgemnist.deploy.answers import convert, decode
from edgemnist.deploy.remote import ANSWER_S, EXPORTS, ask_module, switch_on
from edgemnist.deploy.run import MOST_WORK_S
from edgemnist.errors import DeployError
from edgemnist.promote.gate import gate
from edgemnist.results.boards import PromoteResult, RollbackResult
from edgemnist.shadow import Evidence
from edgemnist.verify.statistics import mcnemar_p

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.promote.gate import PromoteConfig

SHADOW: Final = "{shadow}"
"""Stands for the export directory of the release in the shadow in the words of a command."""
OnStep = Callable[[str], None]


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
