"""How far from the Keras model an artifact may be: for each quantization, and as a person says it in a gate file.

The built-in limits were set from nine models trained on MNIST (512 units four times from all images, of both recipes,
and twice from 4,000; 64 units, 256 and 128, and a small convolutional network), each in all artifacts, over
the 10,000 test images. The largest value measured is given beside each limit, which is about twice that: what differs
by more is not rounding. `benchmarks/verify/limits.py` measures them again. A network that has hardly learned (90 %
right) is close to many ties. A few bytes changed among the weights of an int8 artifact move the answers less than
quantization does: that the manifest's hash shows.

Most models are less sure than these. The same error of the logits moves a probability p by p (1 - p) times as much. So
what the probabilities of an image are off by grows with the Gini impurity of the reference's answer, Σ p (1 - p), and
with it the share of labels that are close to a tie. Built-in limits therefore grow with the average impurity of the
reference, see `BY_IMPURITY`. It is 0.007 of MNIST's networks, which adds next to nothing, and up to 0.82 of 21 others,
which tell 2 to 100 classes apart and are right on 3 to 100 % (`benchmarks/verify/classes.py`). The limit of accuracy
does not grow: the loss was within it in all artifacts but those with 4-bit weights.

Those of numbers were set from MLPerf Tiny's autoencoder (640 numbers of noise), a dense regression of 13 numbers and a
convolutional one of 20×20 pixels in colour, each converted in four ways, over 500 inputs; those of float32 and int4
from five more regressions. Six regressions and an autoencoder, some with answers times 1,000 and far from 0, are within
half of each (`benchmarks/verify/numbers.py`); MLPerf Tiny's, on noise of another kind, is far beyond all but float32's.

A gate file is TOML, by quantization or by artifact. Its limits are a person's, and hold to the letter:

[int8]                        # every int8 artifact
max_flips_percent = 0.1

[tflite-int8]                 # this one only
max_drop_points = 0.05

[all]                         # every artifact
max_bytes = 500_000
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgemnist.errors import UnknownNameError, UsageError, check_range
from edgemnist.ground.formatting import count
from edgemnist.ground.registry import Registry
from edgemnist.ground.results.verdict import (
    BUILT_IN,
    COMMAND_LINE,
    FEWEST_IMAGES,
    GATE_FILE,
    MISSED,
    OR_FEWER,
    UNKNOWN,
    Measurement,
)
from edgemnist.ground.results.verify import ArtifactParity, IntegerCheck, Limit, ValueFigures
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import gate_file
from edgemnist.model.exports.models import Model
from edgemnist.model.formats import FORMATS, artifact_names
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.model.runtimes.windows import CONVOLUTIONS
from edgemnist.pipeline.verify.parity import Parity

SETTLED_KEY: Final = "settled_images"
"""What an earlier edgemnist wrote into each gate file."""
SETTLED_IMAGES: Final = 10_000
"""How many images the limits were set on: MNIST's test set."""
SETTLED_CLASSES: Final = 10
"""How many classes MNIST has."""
FALSE_ALARMS: Final = 1 / 200
"""How often a model right at a limit may fail on fewer images."""
MOST_BY_CHANCE: Final = 0.01
"""Share of the images that may be labelled worse on balance, however few they are."""
SLIGHT: Final = 0.5
"""Of the built-in drop limit: a loss up to this, even one that chance does not explain, misses no gate. It is about the
most that sound models lost (5 of 10,000 images in int8, 13 in int4); six broken images alone are significant."""


class Kind(NamedTuple):
    """What a limit is about."""

    meaning: str
    """For the comment in `--show-gate`."""
    largest: float = 1.0
    of: str = ""
    """What alone it is for, `classes` or `numbers`, and which limit says the same of the other."""
    instead: str = ""
    counts: bool = False
    """Whether it is a percentage of the images."""
    least: float = 0.0


CLASSES: Final = "classes"
NUMBERS: Final = "numbers"

FLIPS: Final = "max_flips_percent"
DROP: Final = "max_drop_points"
ABS_DIFF: Final = "max_abs_diff"
MEAN_DIFF: Final = "max_mean_diff"
BATCH_FLIPS: Final = "max_batch_flips_percent"
BATCH_DIFF: Final = "max_batch_diff"
SUM_ERROR: Final = "max_sum_error"
INTEGER_DIFF: Final = "max_integer_diff"
VALUE_DIFF: Final = "max_value_diff"
VALUE_MEAN: Final = "max_value_mean_diff"
VALUES_DIFFERING: Final = "max_values_differing_percent"
IMAGES: Final = "min_images"
BYTES: Final = "max_bytes"
RAM: Final = "max_ram_bytes"
ACCURACY: Final = "min_accuracy_percent"
SLOWDOWN: Final = "max_slowdown"
ALL: Final = "all"
"""The table of a gate file that is about every artifact."""
BUDGET: Final[Mapping[str, Kind]] = {
    BYTES: Kind("bytes of the file; of a C file, of its weights", 1e12, least=1.0),
    RAM: Kind("bytes of static memory and stack of a C file", 1e12, least=1.0),
    ACCURACY: Kind("labels that are right, in per cent", 100.0, least=2.0),
    SLOWDOWN: Kind("p50 over that of the earlier run of `bench --baseline`; in `[all]` alone", 1e9, least=1.0),
}
"""Limits that are a person's alone, of which none is built in."""
LIMITS: Final[Mapping[str, Kind]] = {
    FLIPS: Kind("labels that differ from the Keras model's", 100.0, CLASSES, VALUE_DIFF, counts=True),
    DROP: Kind("accuracy lost, in percentage points", 100.0, CLASSES, VALUE_MEAN, counts=True),
    ABS_DIFF: Kind("of one probability", 1.0, CLASSES, VALUE_DIFF),
    MEAN_DIFF: Kind("of all probabilities on average", 1.0, CLASSES, VALUE_MEAN),
    BATCH_FLIPS: Kind("labels that depend on the size of the batch", 100.0, CLASSES, BATCH_DIFF, counts=True),
    BATCH_DIFF: Kind("of one probability, between a batch of 1 and of N"),
    SUM_ERROR: Kind("of the probabilities' sum, a class", 1.0, CLASSES, VALUE_DIFF),
    INTEGER_DIFF: Kind("of one probability, between runtime and integer reference"),
    VALUE_DIFF: Kind("of one number, as a share of the spread of the reference's", 1e9, NUMBERS, ABS_DIFF),
    VALUE_MEAN: Kind("of all numbers on average, as such a share", 1e9, NUMBERS, MEAN_DIFF),
    VALUES_DIFFERING: Kind("numbers that are not the reference's to the last bit", 100.0, NUMBERS, FLIPS),
    IMAGES: Kind("evaluation images below which nothing is known", 1e9),
}
"""Of a gate, by their names in a gate file, those that may be built in."""
_NAMED: Final = {**LIMITS, **BUDGET}


def allowed(share: float, images: int, *, to_the_letter: bool = False) -> int:
    """Return how many of `images` may be affected if a share of them, 0 to 1, may be.

    A model that changes exactly 0.3 % of all labels changes more than 3 of 1,000 every third time. So on fewer than
    `SETTLED_IMAGES` the count is allowed that such a model exceeds once in 200 times (a quantile of the Poisson
    distribution), but no more than of `SETTLED_IMAGES`.
    """
    exact = math.floor(share * images + 1e-9)
    if to_the_letter or images >= SETTLED_IMAGES:
        return exact
    ceiling = math.floor(share * SETTLED_IMAGES + 1e-9)
    return max(exact, min(ceiling, poisson_quantile(share * images, 1.0 - FALSE_ALARMS)))


def poisson_quantile(mean: float, probability: float) -> int:
    """Return the least count that a Poisson variable stays at or below with `probability`, 0 to 1."""
    number = 0
    cumulative = math.exp(-mean)
    while cumulative < probability:
        number += 1
        # In logarithms, because exp(-mean) and mean ** number leave the range of a float.
        cumulative += math.exp(number * math.log(mean) - mean - math.lgamma(number + 1))
    return number


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The limits of one quantization."""

    limits: Mapping[str, float]
    """By name, see `LIMITS`; `max_integer_diff` only with an integer reference."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where the limits come from that a person gave; the others are built in."""
    sha256: str = field(default="", compare=False)
    """Hash of what a person gave, such as a gate file; empty where that is nothing."""
    undecided: Mapping[str, float] = field(default_factory=dict)
    """Limits beyond which nothing is known up to this value, instead of their being missed; one that a person gave is
    missed."""

    def __getitem__(self, name: str) -> float:
        return self.limits[name]

    def allowed(self, name: str, images: int) -> int:
        """Return how many of `images` a limit that is a percentage of them allows."""
        return allowed(self[name] / 100, images, to_the_letter=not self.is_built_in(name))

    def given(self, limits: Mapping[str, float], origin: str) -> "Gate":
        """Return the gate with limits of a person."""
        origins = {**self.origins, **dict.fromkeys(limits, origin)}
        return replace(self, limits={**self.limits, **limits}, origins=origins)

    def of_answers(self, name: str, *, numbers: bool) -> "Gate":
        """Return the limits for a model that answers with numbers, or with classes.

        Raises UsageError, which names the right one, where a person gave one that is of the other.
        """
        kinds = (CLASSES, NUMBERS)
        others = [limit for limit, kind in LIMITS.items() if kind.of == kinds[not numbers]]
        if wrong := next((limit for limit in others if limit in self.origins), None):
            raise UsageError(
                f"{OPTIONS.get(wrong, wrong) if self.origins[wrong] == COMMAND_LINE else wrong} is a limit for "
                f"{kinds[not numbers]}, and {name} answers with {kinds[numbers]}",
                hint=f"Write {LIMITS[wrong].instead} to a gate file instead, and name it with --gate.",
            )
        return replace(self, limits={limit: most for limit, most in self.limits.items() if limit not in others})

    def by_itself(self) -> "Gate":
        """Return the limits of a file that is compared with its own integer reference, and those that a person gave.

        Many other labels, or numbers far off, are nobody's mistake if a rounding rule explains them.
        """
        apart = dict.fromkeys((FLIPS, VALUE_DIFF, VALUE_MEAN), math.inf)
        names = {INTEGER_DIFF, IMAGES, DROP, *apart, *self.origins}
        kept = {limit: most for limit, most in self.limits.items() if limit in names}
        return replace(self, limits=kept, undecided=apart)

    def for_reference(self, quantization: str, parity: Parity) -> "Gate":
        """Return the limits for the reference of a comparison: built-in ones grow with its impurity by `BY_IMPURITY`.

        The mean difference is of all probabilities, and the more classes there are, the more of them are next to 0:
        what counts is the difference of an image, which `SETTLED_CLASSES` share in `GATES`. Without labels nobody sees
        whether flips are a loss: their limits do not grow, but leave unknown what they would have allowed.
        """
        growing = {name: by * parity.impurity for name, by in BY_IMPURITY[quantization].items()}
        limits = {name: most + growing.get(name, 0.0) for name, most in self.limits.items() if self.is_built_in(name)}
        if MEAN_DIFF in limits:
            limits[MEAN_DIFF] = (SETTLED_CLASSES * self[MEAN_DIFF] + growing.get(MEAN_DIFF, 0.0)) / parity.classes
        unseen = {} if parity.labelled else {name: limits[name] for name in limits.keys() & {FLIPS, BATCH_FLIPS}}
        limits |= {name: self[name] for name in unseen}
        return replace(self, limits={**self.limits, **limits}, undecided={**unseen, **self.undecided})

    def on_random_inputs(self, quantization: str) -> "Gate":
        """Return the limits on inputs that a model may never meet: beyond a built-in one nothing is known.

        They were measured on what models had learnt. Those of float32 hold.
        """
        if quantization == "float32":
            return self
        return self.unknown_beyond(self.limits.keys() - {INTEGER_DIFF})

    def unknown_beyond(self, names: Iterable[str]) -> "Gate":
        """Return the gate that leaves unknown whatever is beyond its built-in limits of these names."""
        return replace(self, undecided={**self.undecided, **dict.fromkeys(names, math.inf)})

    def measure(self, name: str, value: float | None, reason: str, most: float | None = None) -> list[Measurement]:
        """Return a measurement beside a limit, or beside `most`, which it amounts to; nothing without that limit."""
        if name not in self.limits:
            return []
        most = self[name] if most is None else most
        otherwise = UNKNOWN if self.is_undecided(name, value or 0.0) else MISSED
        return [Measurement(name, value, reason, most=most, origin=self.origin(name), otherwise=otherwise)]

    def is_undecided(self, name: str, value: float) -> bool:
        """Return whether nothing is known at this value beyond a limit, instead of its being missed."""
        return value <= self.undecided.get(name, -math.inf) and self.is_built_in(name)

    def origin(self, name: str) -> str:
        """Return where a limit comes from."""
        return self.origins.get(name, BUILT_IN)

    def is_built_in(self, *names: str) -> bool:
        """Return whether no person gave any of these limits."""
        return self.origins.keys().isdisjoint(names)


# Half a unit in the last place of a float32 is 6e-8; measured 3e-7 for the sum of ten.
_FLOAT_SUM_ERROR: Final = 1e-6
# The int8 softmax rounds each class to a step of 1/256; measured 0.016 for the sum of ten.
_INT8_SUM_ERROR: Final = 0.5 / 256

GATES: Final = Registry("parity gate for the quantization", {
    # All numbers may differ, unless a person says otherwise.
    quantization: Gate(limits={**limits, VALUES_DIFFERING: 100.0, IMAGES: float(FEWEST_IMAGES)})
    for quantization, limits in {
        "float32": {
            FLIPS: 0.0,  # measured 0
            DROP: 0.0,  # follows from the flips
            ABS_DIFF: 1e-4,  # measured 2.2e-6: another order of summation and another exp()
            MEAN_DIFF: 3.3e-7,  # measured 1.6e-7, of a ResNet that is unsure; 1.2e-8 of one trained on MNIST
            BATCH_FLIPS: 0.0,  # measured 0
            BATCH_DIFF: 1e-5,  # measured 0; XNNPACK may pick another kernel for a batch of 1
            SUM_ERROR: _FLOAT_SUM_ERROR,
            VALUE_DIFF: 1e-3,  # measured 4.3e-4
            VALUE_MEAN: 1e-4,  # measured 4.7e-5, of the autoencoder, whose answers to noise hardly differ
        },
        "float16": {
            FLIPS: 0.05,  # measured 1 of 10,000, a tie but for 1e-4
            DROP: 0.05,  # measured 1 of 10,000
            ABS_DIFF: 2e-3,  # measured 9.0e-4: weights with 11 bits of precision
            MEAN_DIFF: 2e-5,  # measured 7.4e-6
            BATCH_FLIPS: 0.0,  # measured 0: computed in float32
            BATCH_DIFF: 1e-5,  # measured 0
            SUM_ERROR: _FLOAT_SUM_ERROR,
            VALUE_DIFF: 0.12,  # measured 0.061
            VALUE_MEAN: 7e-3,  # measured 3.5e-3
        },
        "dynamic": {
            FLIPS: 0.2,  # measured 11 of 10,000
            DROP: 0.1,  # measured 2 of 10,000
            ABS_DIFF: 0.15,  # measured 0.080 (ONNX) and 0.046 (TFLite)
            MEAN_DIFF: 6e-4,  # measured 2.7e-4
            # ONNX Runtime takes one activation range for the whole batch, so answers depend on their company.
            BATCH_FLIPS: 0.2,  # measured 10 of 10,000
            BATCH_DIFF: 0.15,  # measured 0.034, and 0.11 of a depthwise network that is nearly as sure
            SUM_ERROR: _FLOAT_SUM_ERROR,
            VALUE_DIFF: 4.0,  # measured 1.9
            VALUE_MEAN: 0.25,  # measured 0.12
        },
        "int8": {
            FLIPS: 0.3,  # measured 24 of 10,000
            DROP: 0.2,  # measured 5 of 10,000
            ABS_DIFF: 0.2,  # measured 0.097
            MEAN_DIFF: 2e-3,  # measured 9.4e-4
            BATCH_FLIPS: 0.05,  # measured 0; a tie may fall either way with another kernel
            BATCH_DIFF: 2 / 256,  # measured 0; one step of the softmax is what kernels differ by
            SUM_ERROR: _INT8_SUM_ERROR,
            VALUE_DIFF: 6.0,  # measured 3.1
            VALUE_MEAN: 0.26,  # measured 0.13
            INTEGER_DIFF: 1 / 256,  # measured one step of the softmax, which the optimized kernels compute in float32
        },
        "int4": {
            FLIPS: 1.0,  # measured 69 of 10,000 with 512 units
            DROP: 0.3,  # measured 13 of 10,000; 64 units lose 57 and the convolutional one 64, which is too much
            ABS_DIFF: 0.7,  # measured 0.52: 16 levels a weight decide again wherever two classes are close
            MEAN_DIFF: 3e-3,  # measured 1.3e-3 with 512 units; 64 units have 3.4e-3
            BATCH_FLIPS: 0.05,  # measured 0
            BATCH_DIFF: 0.01,  # measured 0: LiteRT takes an activation range for each image
            SUM_ERROR: _FLOAT_SUM_ERROR,
            VALUE_DIFF: 6.0,  # as int8; measured 1.5
            VALUE_MEAN: 0.4,  # measured 0.20
        },
    }.items()
})  # fmt: skip
"""From the strictest on."""
BY_IMPURITY: Final[Mapping[str, Mapping[str, float]]] = {
    "float32": {},
    "float16": {FLIPS: 0.5, ABS_DIFF: 0.01, MEAN_DIFF: 4e-3},  # measured 0.22, 9.4e-3 and 3.5e-3
    "dynamic": {
        FLIPS: 10.0,  # measured 9.7; 6.2 of all networks but one
        ABS_DIFF: 0.2,  # measured 0.15
        MEAN_DIFF: 0.2,  # measured 0.16
        BATCH_FLIPS: 10.0,  # measured 10; 4.2 of all networks but one
        BATCH_DIFF: 0.2,  # measured 0.11
    },
    "int8": {
        FLIPS: 10.0,  # measured 9.5; 6.4 of all networks but one
        ABS_DIFF: 0.02,  # measured 0.017
        MEAN_DIFF: 0.16,  # measured 0.13
        BATCH_DIFF: 0.2,  # measured 0 between batches, and 0.13 between two runtimes
    },
    # Every tenth label of an unsure network changes, which is not rounding.
    "int4": {},
}
"""What is added to a limit for each 1 of the reference's impurity; to that of the mean difference, for all classes
together. Measured is by how much a value exceeds the limit in `GATES`, over the impurity."""
OPTIONS: Final = {FLIPS: "--max-flips", DROP: "--max-drop", ABS_DIFF: "--max-diff"}
"""The limits that have an option."""


@dataclass(frozen=True)
class GateTable:
    """The gates of every quantization, and what a person changed. Raises UsageError for an option out of range."""

    changes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Limits, by quantization or artifact and name."""
    sha256: str = ""
    """Hash of the file; empty for the built-in limits."""
    options: Mapping[str, float] = field(default_factory=dict)
    """Limits of the command line, by name, which take the place of every other."""

    def __post_init__(self) -> None:
        for name, limit in self.options.items():
            check_range(OPTIONS[name], limit, least=0, most=LIMITS[name].largest)

    def of(self, name: str, quantization: str, *, numbers: bool | None = None) -> Gate:
        """Return the gate of an artifact, with the limits of numbers, of classes or, for None, of both.

        Raises UnknownNameError for a quantization without one, and UsageError as `Gate.of_answers` does.
        """
        gate = replace(GATES[quantization], sha256=self.sha256)
        for table in (ALL, quantization, name):
            # Who verifies times nothing, and a verdict does not name what it does not judge.
            limits = {key: limit for key, limit in self.changes.get(table, {}).items() if key != SLOWDOWN}
            gate = gate.given(limits, GATE_FILE)
        if self.options:
            hashed = sha256(repr((self.sha256, sorted(self.options.items()))).encode())
            gate = replace(gate.given(self.options, COMMAND_LINE), sha256=hashed)
        return gate if numbers is None else gate.of_answers(name, numbers=numbers)

    def document(self) -> dict[str, Any]:
        """Return all limits as a gate file would have them."""
        own = {name: dict(table) for name, table in self.changes.items() if name not in GATES}
        apart = replace(self, changes={name: self.changes[name] for name in self.changes if name != ALL})
        return {SETTLED_KEY: SETTLED_IMAGES, **{name: dict(apart.of("", name).limits) for name in GATES}, **own}

    @property
    def max_slowdown(self) -> float | None:
        """How many times as long as in an earlier run a call may take; None without a limit."""
        return self.changes.get(ALL, {}).get(SLOWDOWN)


def gates_of(directory: Path | None, given: GateTable | None = None) -> GateTable:
    """Return the limits that hold in an export directory, or for files: those of a gate file that was given, else own.

    Raises what `gate_file` and `read_gates` raise.
    """
    given = given or GateTable()
    path = None if given.sha256 else gate_file(directory)
    return given if path is None else replace(read_gates(path), options=given.options)


def read_gates(path: Path) -> GateTable:
    """Read a gate file. What it does not mention keeps its built-in limit.

    Raises UsageError where it is missing, no TOML, or has a limit out of range, UnknownNameError for a name in it that
    means nothing.
    """
    try:
        data = path.read_bytes()
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a gate file: {error}",
            hint="See what a gate file may say with: edgemnist verify --show-gate",
        ) from error
    if (settled := document.pop(SETTLED_KEY, SETTLED_IMAGES)) != SETTLED_IMAGES:
        raise UsageError(
            f"{path}: {SETTLED_KEY} is {settled!r}, but is always {SETTLED_IMAGES:,}",
            hint="Write limits of your own, which allow nothing for chance on any number of images.",
        )
    known = [ALL, *GATES, *artifact_names()]
    changes: dict[str, dict[str, float]] = {}
    for name, table in document.items():
        if name not in known:
            raise UnknownNameError(f"quantization or artifact, named in {path},", name, known)
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} is {table!r}, not a table", hint=f"Write [{name}] with its limits below.")
        changes[name] = {key: _limit(path, name, key, value) for key, value in table.items()}
    return GateTable(changes=changes, sha256=sha256(data))


def _limit(path: Path, table: str, key: str, value: object) -> float:
    if key not in _NAMED:
        raise UnknownNameError(f"limit, named in {path} at [{table}],", key, _NAMED)
    if key == SLOWDOWN and table != ALL:
        raise UsageError(f"{path}: {key} of [{table}] holds for every artifact", hint=f"Write it below [{ALL}].")
    least, most = _NAMED[key].least, _NAMED[key].largest
    # A bool is an int to Python, and no limit.
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UsageError(f"{path}: {key} of [{table}] must be a number between {least:g} and {most:g} (got {value!r})")
    return float(value)


def gate_toml(gates: GateTable) -> str:
    """Return a gate file that `read_gates` reads back to the same gates: all limits, the built-in ones behind a #."""
    document = gates.document()
    del document[SETTLED_KEY]
    lines = [
        "# Limits behind a # are built in, and grow for unsure models. Without the #, one is yours, to the letter.",
        f"# A table [{ALL}] is about every artifact. Nobody but you limits these:",
        *(f"#   {key}: {limit.meaning}" for key, limit in BUDGET.items()),
    ]
    explained: set[str] = set()
    for name, table in document.items():
        lines += ["", f"[{name}]"]
        for key, value in table.items():
            comment = "" if key in explained else f"  # {_NAMED[key].meaning}"
            explained.add(key)
            mark = "" if key in gates.changes.get(name, {}) else "# "
            lines.append(f"{mark}{key} = {value!r}{comment}")
    return "\n".join(lines) + "\n"


def held_limits(gate: Gate, usual: Gate, images: int) -> dict[str, Limit]:
    """Return the limits of a gate over this many images, by their names, beside the built-in ones."""
    return {
        name: Limit(
            limit=limit,
            builtin=usual.limits.get(name),
            allowed=gate.allowed(name, images) if _NAMED[name].counts else None,
            own=not gate.is_built_in(name),
            origin=gate.origin(name),
        )
        for name, limit in gate.limits.items()
    }


def own_gates(artifacts: Iterable[ArtifactParity], noun: str = "image") -> list[str]:
    """Return a sentence for each gate that is not the built-in one: what passed it might not have passed that."""
    names: dict[str, list[str]] = {}
    for parity in artifacts:
        if limits := ", ".join(_own(name, limit, noun) for name, limit in parity.gate.items() if limit.own):
            names.setdefault(limits, []).append(parity.name)
    return [f"The gate of {', '.join(those)} is not the built-in one: {limits}." for limits, those in names.items()]


def _own(name: str, limit: Limit, noun: str) -> str:
    if limit.limit != limit.builtin:
        return f"{name} {limit.limit:g}" + ("" if limit.builtin is None else f" instead of {limit.builtin:.3g}")
    # The same amount, with nothing, or more or less, allowed for.
    counted = "" if limit.allowed is None else f" ({count(limit.allowed, noun)})"
    return f"{name} {limit.limit:g} to the letter{counted}"


def measurements(
    gate: Gate, parity: Parity, integer: IntegerCheck | None = None, noun: str = "image", unit: float = 1.0
) -> list[Measurement]:
    """Return what is compared with each limit of a gate, the plainest fault first.

    `integer` is the comparison with the integer reference, if there is one, and `unit` what 1 of its limit stands for;
    messages call one input `noun`.
    """
    images = count(parity.images, noun)
    odd = f"{parity.unanswered:,} of {images} got an answer that is not a finite number"
    unanswered = Measurement("unanswered", parity.unanswered, odd, most=0)
    if parity.unanswered == parity.images:
        # Every other limit is exceeded as well, and none of that says anything.
        return [unanswered]
    if parity.images < gate[IMAGES]:
        # Of too few, no limit but a person's is said to be missed, unless chance explains no such loss; integers differ
        # on however few.
        lossy = parity.significant_loss or parity.in_batches.significant_loss
        gate = gate.unknown_beyond(gate.limits.keys() - {INTEGER_DIFF} - ({DROP} if lossy else set()))
    found = _of_classes(gate, parity) if parity.values is None else _of_numbers(gate, parity, parity.values)
    if integer is not None:
        off = integer.max_abs_diff
        # What a rounding rule explains is within the limit.
        most = gate.limits.get(INTEGER_DIFF, 0.0) * unit
        within = off if misses_integers(gate, integer, unit) else min(off, most)
        differs = "the runtime differs from the integer reference by {} on the same file, {} allowed"
        found += gate.measure(INTEGER_DIFF, within, differs, most)
    left_out = set() if parity.batches else {BATCH_FLIPS, BATCH_DIFF}
    few = f"only {images}, and {gate[IMAGES]:,.0f} are needed to judge" + f"; {OR_FEWER}" * gate.is_built_in(IMAGES)
    return [
        unanswered,
        *(one for one in found if one.name not in left_out),
        Measurement(IMAGES, parity.images, few, least=gate[IMAGES], origin=gate.origin(IMAGES), otherwise=UNKNOWN),
    ]


def budget(gate: Gate, model: Model, parity: Parity) -> list[Measurement]:
    """Return what a model costs, and how accurate it is, beside the limits of a gate that are a person's alone."""
    size, ram, right = _bytes_of(model), None, None
    footprint = None if model.record is None else model.record.footprint
    if footprint is not None and footprint.stack_bytes is not None:
        ram = footprint.ram_bytes
    if parity.labelled and parity.values is None:
        right = 100 * parity.correct / parity.images
    said = {
        BYTES: (size, "bytes", "how many bytes of weights it has is unknown: the TFLite file of it is not there"),
        RAM: (ram, "bytes of RAM", "how much RAM it takes is unknown: only the record of a C file says it"),
    }
    found = [
        Measurement(
            name, value, f"it takes {value or 0:,} {unit}, but only {gate[name]:,.0f} are allowed",
            most=gate[name], origin=gate.origin(name), unknown=unknown,
        )
        for name, (value, unit, unknown) in said.items() if name in gate.limits
    ]  # fmt: skip
    if ACCURACY in gate.limits:
        least, origin = gate[ACCURACY], gate.origin(ACCURACY)
        reason = f"{right or 0:.6g} % of the labels are right, but {least:g} % are asked for"
        unknown = "its accuracy is unknown: nobody has said the labels"
        found.append(Measurement(ACCURACY, right, reason, least=least, origin=origin, unknown=unknown))
    return found


def _bytes_of(model: Model) -> int | None:
    """Return the bytes of a file; of a C file those of its weights and biases, as `search` counts them.

    None where its TFLite file, which tells them apart from the engine, is not beside it.
    """
    if model.path.suffix != FORMATS["c"].suffix:
        return model.bytes
    if model.record is None or (twin := model.twin) is None:
        return None
    graph, bits = read_graph_file(twin), int(model.record.quantization.removeprefix("int"))
    constants = [
        graph.tensors[index]
        for one in graph.operators
        if one.kind in {"FULLY_CONNECTED", *CONVOLUTIONS}
        for index in one.inputs[1:]
        if index >= 0
    ]
    sizes = [(math.prod(one.shape), len(one.shape) > 1) for one in constants]
    return sum(-(-size * bits // 8) if weights else 4 * size for size, weights in sizes)


ALONE: Final = " between a batch of one and a large batch"


def _of_numbers(gate: Gate, parity: Parity, values: ValueFigures) -> list[Measurement]:
    alone = parity.max_batch_diff / values.spread
    return [
        *gate.measure(VALUE_DIFF, values.largest, "a value is off by {} times the spread, {} allowed"),
        *gate.measure(VALUE_MEAN, values.mean, "values are off by {} times the spread on average, {} allowed"),
        *gate.measure(VALUES_DIFFERING, 100 * values.differing, "{} % of the values are not the same, {} % allowed"),
        *gate.measure(BATCH_DIFF, alone, f"a value changed{ALONE} by {{}} times the spread, {{}} allowed"),
    ]


def _of_classes(gate: Gate, parity: Parity) -> list[Measurement]:
    """Accuracy counts every image; ties are flips, too, and excused under the built-in limit only (`excused_ties`)."""
    images, ties = parity.images, excused_ties(gate, parity)
    tied = f"; {parity.ties:,} of them {'is a tie' if parity.ties == 1 else 'are ties'}" * (parity.ties > ties)

    def changed(name: str, number: int, how: str = "", tied: str = "") -> list[Measurement]:
        if name not in gate.limits:
            return []
        most = gate.allowed(name, images)
        limit = f"{most:,} allowed ({100.0 * most / images:.2f} %)" if most else "none allowed"
        more = "; try inputs of your own, with labels (--data), or allow more (--max-flips)" * (
            gate.is_undecided(name, 100 * number / images) and images >= gate[IMAGES]
        )
        reason = f"{count(number, 'label')} changed{how} ({100.0 * number / images:.2f} %), {limit}{tied}{more}"
        return gate.measure(name, 100 * number / images, reason, 100 * most / images)

    # Two more classes than there are, because the int8 softmax also saturates at 255/256.
    sums = gate.limits.get(SUM_ERROR, 0) * (parity.classes + 2)
    return [
        *gate.measure(SUM_ERROR, parity.max_sum_error, "probabilities add up to 1 ± {}, ± {} allowed", sums),
        *_drop(gate, parity),
        *changed(FLIPS, parity.flips - ties, tied=tied),
        *gate.measure(ABS_DIFF, parity.max_abs_diff, "a probability is off by {}, {} allowed"),
        *gate.measure(MEAN_DIFF, parity.mean_abs_diff, "probabilities are off by {} on average, {} allowed"),
        *changed(BATCH_FLIPS, parity.batch_flips, ALONE),
        *gate.measure(BATCH_DIFF, parity.max_batch_diff, f"a probability changed{ALONE} by {{}}, {{}} allowed"),
    ]


def _drop(gate: Gate, parity: Parity) -> list[Measurement]:
    """Of one image a call, or of batches, where these lose more.

    Under the built-in limit a loss of batches counts beyond what chance explains, and beyond `MOST_BY_CHANCE`.
    """
    if not parity.labelled:
        if gate.is_built_in(DROP):
            return []
        unknown = "the loss of accuracy is unknown: nobody has said the labels"
        return [Measurement(DROP, None, "", most=gate[DROP], origin=gate.origin(DROP), unknown=unknown)]
    together = parity.in_batches
    lossy = together.significant_loss or together.lost > MOST_BY_CHANCE * parity.images or not gate.is_built_in(DROP)
    one = together if lossy and together.lost > parity.lost else parity
    chance = f", more than chance explains (p = {one.p_value:.2g})" if one.significant_loss else ""
    fell = "accuracy fell" if one is parity else "accuracy in batches fell"
    most = 100 * most_lost(gate, one) / one.images
    return gate.measure(DROP, 100 * one.lost / one.images, f"{fell} by {{}} points{chance}, {{}} allowed", most)


def most_lost(gate: Gate, parity: Parity) -> int:
    """Return how many images may be labelled worse on balance.

    Under the built-in limit no more than `MOST_BY_CHANCE` on few images, and of a loss that chance does not explain
    only `SLIGHT` of the share.
    """
    most = gate.allowed(DROP, parity.images)
    if not gate.is_built_in(DROP):
        return most
    if parity.images < SETTLED_IMAGES:
        most = min(most, math.floor(MOST_BY_CHANCE * parity.images + 1e-9))
    if parity.significant_loss:
        most = min(most, math.floor(SLIGHT * gate[DROP] / 100 * parity.images + 1e-9))
    return most


def excused_ties(gate: Gate, parity: Parity) -> int:
    """Return how many flips are ties that do not count: all of them or none.

    They count where a person gave the limit, and where accuracy is lost, beyond its limit or beyond chance, or unknown.
    """
    lost = DROP in gate.limits and (parity.lost > most_lost(gate, parity) or parity.significant_loss)
    return parity.ties if parity.labelled and gate.is_built_in(FLIPS) and not lost else 0


def misses_integers(gate: Gate, integer: IntegerCheck, unit: float = 1.0) -> bool:
    """Return whether a runtime is further off the integer reference than allowed.

    What a rounding rule explains is allowed, unless a person gave the limit.
    """
    if INTEGER_DIFF not in gate.limits or integer.max_abs_diff <= gate[INTEGER_DIFF] * unit:
        return False
    return integer.rescaling is None or not gate.is_built_in(INTEGER_DIFF)
