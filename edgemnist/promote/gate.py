"""Whether the release in the shadow may take over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edgemnist.agent import SelfTestLimits
from edgemnist.deploy.run import MOST_WAIT_S
from edgemnist.errors import check_range
from edgemnist.formatting import count, percent
from edgemnist.verify.statistics import mcnemar_p

if TYPE_CHECKING:
    from edgemnist.shadow import Evidence

SIGNIFICANT: Final = 0.05
"""Of McNemar's test on the samples with a label, as in `edgemnist learn`."""


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
