"""Passed, missed or unknown, and what that rests on: the noun in which every command says whether something is good.

Whatever decides makes a `Measurement` of each figure, and `judge` a `Verdict` of them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

import msgspec

from edgemnist.ground.results import Part

PASSED: Final = "passed"
MISSED: Final = "missed"
UNKNOWN: Final = "unknown"
WORST_FIRST: Final = (MISSED, UNKNOWN, PASSED)

FEWEST_IMAGES: Final = 200
"""Evaluation images from which on a gate says anything. One image is half a point of them, and chance alone makes a
model that is right at int8's limit lose two or more in six of 100 draws."""
OR_FEWER: Final = "bring more, or lower min_images in gate.toml"

BUILT_IN: Final = "built in"
GATE_FILE: Final = "gate file"
COMMAND_LINE: Final = "command line"
"""Where a limit comes from; a person gave the last two."""


class Held(Part, frozen=True, kw_only=True):
    """One limit, and the measurement that was compared with it."""

    name: str
    """As in a gate file, or the option without its dashes."""
    measured: float | None
    """None where it is not known, or not a finite number."""
    limit: float
    origin: str = BUILT_IN
    """`built in`, `gate file` or `command line`."""
    outcome: str
    """`passed`, `missed` or `unknown`."""


class Basis(Part, frozen=True, kw_only=True):
    """What a verdict rests on, as far as it does: of the rest nothing is said."""

    artifact: str = ""
    """SHA-256 of the file that was judged, as those below."""
    model: str = ""
    """Of the Keras model that it was compared with."""
    golden: str = ""
    """Of the golden pack, or of the other images that it answered."""
    gate: str = ""
    """Of the limits."""
    runtime: str = ""
    runtime_version: str = ""
    machine: str = ""
    """Processor and architecture."""
    edgemnist: str = ""
    images: int = 0

    def changes(self, now: "Basis") -> list[str]:
        """Return what of this is something else now, in words; what either of the two does not say has changed, too."""
        return [part for name, part in _PARTS.items() if getattr(self, name) != getattr(now, name)]


_PARTS: Final = {
    "artifact": "the file", "model": "the model", "golden": "the evaluation images", "gate": "the gate",
    "runtime": "the runtime", "runtime_version": "the runtime's version", "machine": "the machine",
    "edgemnist": "edgemnist's version", "images": "the number of images",
}  # fmt: skip


class Verdict(Part, frozen=True, kw_only=True):
    """Whether something is good enough, why, and what that rests on."""

    outcome: str = UNKNOWN
    """`passed`, `missed` or `unknown`."""
    reasons: list[str] = msgspec.field(default_factory=list)
    """Why it has not passed, in sentences, the plainest first; empty where it has."""
    limits: list[Held] = msgspec.field(default_factory=list)
    rests_on: Basis | None = None
    outdated: bool = False
    """Whether it is unknown because something that it rests on has changed, and the reason says what to run."""

    @property
    def passed(self) -> bool:
        """Whether it is known to be good enough."""
        return self.outcome == PASSED

    @property
    def said(self) -> dict[str, Any]:
        """What results say of it, by the names there."""
        return {"verdict": self, "passed": self.passed, "reasons": self.reasons}

    def here(self, now: Basis, again: str) -> "Verdict":
        """Return the verdict if all that it rests on is still so, and else that nothing is known.

        `again` is the command that judges again.
        """
        if self.rests_on is None:
            reason = f"an earlier edgemnist judged it, or none: run {again}"
        elif changed := self.rests_on.changes(now):
            reason = f"judged before a change of {listed(changed)}: run {again}"
        else:
            return self
        return Verdict(outcome=UNKNOWN, reasons=[reason], limits=self.limits, rests_on=self.rests_on, outdated=True)


@dataclass(frozen=True)
class Measurement:
    """A figure to hold against a limit."""

    name: str
    value: float | None
    """None where it is not known."""
    reason: str
    """The sentence where the limit is missed; the first two `{}` in it stand for the value and the limit."""
    _: KW_ONLY
    most: float | None = None
    least: float | None = None
    """The limit: one of the two."""
    origin: str = BUILT_IN
    unknown: str = ""
    """The sentence where nothing was measured; empty for one made of the name."""
    otherwise: str = MISSED
    """What it means to miss the limit: `unknown` where that says that too little is known, as with few images."""

    def held(self) -> Held:
        """Return the outcome: what is no finite number misses. Raises ValueError without a limit."""
        limit = self.most if self.most is not None else self.least
        if limit is None:
            raise ValueError(f"{self.name} has no limit")
        value = self.value if self.value is not None and math.isfinite(self.value) else None
        met = value is not None and (value <= limit if self.most is not None else value >= limit)
        outcome = PASSED if met else UNKNOWN if self.value is None else self.otherwise
        return Held(name=self.name, measured=value, limit=limit, origin=self.origin, outcome=outcome)

    def why(self, limit: float) -> str:
        """Return the sentence for an outcome that is not `passed`, in as many figures as tell value and limit apart."""
        if self.value is None:
            return self.unknown or f"{self.name} was not measured"
        # From as many figures on as the value has before its point, lest it is 1e+02.
        first = max(2, min(17, len(f"{abs(self.value):.0f}")))
        pairs = ((f"{self.value:.{figures}g}", f"{limit:.{figures}g}") for figures in range(first, 18))
        value, shown = next((pair for pair in pairs if pair[0] != pair[1]), (f"{self.value:g}", f"{limit:g}"))
        return self.reason.replace("{}", value, 1).replace("{}", shown, 1)


def fault(name: str, reason: str, *, otherwise: str = MISSED) -> Measurement:
    """Return what is by itself a reason against passing."""
    return Measurement(name, 1, reason, most=0, otherwise=otherwise)


def origin_of(limit: float | None) -> str:
    """Return where the limit of an option comes from; None is one that was not given."""
    return BUILT_IN if limit is None else COMMAND_LINE


def judge(measurements: Iterable[Measurement], rests_on: Basis | None = None) -> Verdict:
    """Return the verdict on measurements: the worst of their outcomes, and unknown without any."""
    held = [(one.held(), one) for one in measurements]
    ranked = sorted(held, key=lambda pair: WORST_FIRST.index(pair[0].outcome))
    return Verdict(
        outcome=ranked[0][0].outcome if ranked else UNKNOWN,
        reasons=[one.why(of.limit) for of, one in ranked if of.outcome != PASSED] if held else ["Nothing was measured"],
        limits=[of for of, _ in held],
        rests_on=rests_on,
    )


def joint(verdicts: Mapping[str, Verdict], rests_on: Basis | None = None) -> Verdict:
    """Return the verdict on several things by their names: the worst, and the reasons of each, the worst first."""
    ranked = sorted(verdicts.items(), key=lambda pair: WORST_FIRST.index(pair[1].outcome))
    return Verdict(
        outcome=ranked[0][1].outcome if ranked else UNKNOWN,
        reasons=[f"{name}: {reason}" for name, verdict in ranked for reason in verdict.reasons],
        rests_on=rests_on,
    )


def listed(parts: list[str]) -> str:
    """Return parts as in `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
