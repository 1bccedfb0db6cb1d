"""Which networks a search may try, limits on costs and accuracy in the words of users, and what is best within them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from edgemnist.errors import UsageError, check_range
from edgemnist.ground.formatting import percent
from edgemnist.ground.results.verdict import COMMAND_LINE, Measurement
from edgemnist.model.exports import REPOSITORY_FILE
from edgemnist.model.formats import arithmetic_of, artifact_names
from edgemnist.model.task import Task, default_task
from edgemnist.pipeline.train.network import (
    CNN,
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    FAMILIES,
    KERNEL,
    MAXIMUM,
    MEAN,
    MLP,
    PLANES,
    POINTWISE,
    WIDTHS,
    Layer,
    Network,
    sides_of,
)
from edgemnist.pipeline.train.recipes import training_of
from edgemnist.pipeline.verify.gate import ACCURACY, BYTES, RAM, GateTable

if TYPE_CHECKING:
    from optuna import Trial

MOST_HIDDEN: Final = 3
"""Hidden layers of an MLP."""
BLOCKS: Final = ("separable", "convolution", "maximum")
"""A depthwise and a pointwise convolution, a plain one, or the largest of 2×2."""
ENDS: Final = ("flat", "mean", "dense")
"""What comes between the convolutions and the answer: nothing, the mean of all places, or a dense layer."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The networks to choose from."""

    families: tuple[str, ...] = FAMILIES
    bits: tuple[int, ...] = WIDTHS
    sides: tuple[int, ...] = ()
    """Heights of the first layer's input; by default all that the task's can be brought to."""
    most_units: int = 1024
    """Most units of the first hidden layer of an MLP."""
    # Not in the words of a search: its data are.
    task: Task = field(default_factory=default_task, repr=False)

    def __post_init__(self) -> None:
        shape = self.task.input.shape
        sides = tuple(sides_of(shape))
        # Only pixels are averaged.
        object.__setattr__(self, "sides", self.sides or (sides if self.task.input.is_unit else sides[:1]))
        if len(shape) not in PLANES or min(shape[:2]) < KERNEL:
            object.__setattr__(self, "families", (MLP,))

    def propose(self, trial: Trial) -> Network | None:
        """Return the network that a trial's parameters make; None if there is no such network."""
        family = trial.suggest_categorical("family", self.families)
        bits = trial.suggest_categorical("bits", self.bits)
        side = trial.suggest_categorical(f"{family}_input", self.sides)
        layers = self._hidden(trial) if family == MLP else _convolutions(trial, training_of(self.task).blocks)
        try:
            return Network(family=family, side=side, layers=tuple(layers), bits=bits, image=self.task.input.shape)
        except UsageError:
            return None

    def known(self, limits: Limits, classes: int) -> list[Network]:
        """Return the networks to begin with."""
        return [
            network
            for network in (Network.parse(name, self.task.input.shape) for name in training_of(self.task).known)
            if network.family in self.families
            and network.side in self.sides
            and network.bits in self.bits
            and max(network.hidden, default=0) <= self.most_units
            and limits.allow(Costs.of(network, classes))
        ]

    def _hidden(self, trial: Trial) -> Iterator[Layer]:
        most = self.most_units
        for number in range(1, trial.suggest_int("mlp_layers", 1, MOST_HIDDEN) + 1):
            yield Layer(DENSE, trial.suggest_int(f"mlp_units_{number}", 4, most, log=True))
            most = max(8, most // 4)

    def smallest(self) -> Iterator[Network]:
        """Yield the smallest networks of each kind: limits that none of these fits, no network fits."""
        image = self.task.input.shape
        for side, bits in product(self.sides, self.bits):
            if MLP in self.families:
                yield Network.mlp(4, side=side, bits=bits, image=image)
            if CNN in self.families:
                first, half = Layer(CONVOLUTION, 2, 2), Layer(MAXIMUM, 0, 2)
                for rest in ((Layer(MEAN),), (half,), (half, Layer(MEAN))):
                    with contextlib.suppress(UsageError):
                        yield Network(family=CNN, side=side, layers=(first, *rest), bits=bits, image=image)

    def check(self, limits: Limits, classes: int) -> None:
        """Raise UsageError if no network is within limits of what is known before training."""
        smallest = [Costs.of(one, classes) for one in self.smallest()]
        least = Costs(**{name: min(getattr(one, name) for one in smallest) for name in Costs.__annotations__})
        for name, option, cost, limit, unit in limits.on(least):
            if limit < cost:
                where = f"{REPOSITORY_FILE}: {_FILED[name][1]}" if name in limits.filed else f"--{option}"
                smallest_takes = f"The smallest takes {cost:,} {unit}."
                raise UsageError(f"{where} {limit:,} is less than any network takes", hint=smallest_takes)


def _convolutions(trial: Trial, most: int) -> Iterator[Layer]:
    yield Layer(CONVOLUTION, trial.suggest_int("cnn_channels", 2, 16, log=True), trial.suggest_int("cnn_stride", 1, 2))
    for number in range(1, trial.suggest_int("cnn_blocks", 0, most) + 1):
        kind = trial.suggest_categorical(f"cnn_block_{number}", BLOCKS)
        if kind == "maximum":
            yield Layer(MAXIMUM, 0, 2)
            continue
        stride = trial.suggest_int(f"cnn_stride_{number}", 1, 2)
        channels = trial.suggest_int(f"cnn_channels_{number}", 4, 48, log=True)
        if kind == "separable":
            yield Layer(DEPTHWISE, 0, stride)
            yield Layer(POINTWISE, channels)
        else:
            yield Layer(CONVOLUTION, channels, stride)
    end = trial.suggest_categorical("cnn_end", ENDS)
    if end == "mean":
        yield Layer(MEAN)
    elif end == "dense":
        yield Layer(DENSE, trial.suggest_int("cnn_units", 8, 64, log=True))


def parameters_of(network: Network) -> dict[str, Any]:
    """Return the parameters of a trial that `Space.propose` makes a network of; it has no depthwise convolutions."""
    found = {"family": network.family, "bits": network.bits, f"{network.family}_input": network.side}
    if network.family == MLP:
        units = {f"mlp_units_{number}": layer.units for number, layer in enumerate(network.layers, start=1)}
        return {**found, "mlp_layers": len(units), **units}
    first, *blocks = network.layers
    found |= {"cnn_channels": first.units, "cnn_stride": first.stride, "cnn_blocks": len(blocks), "cnn_end": "flat"}
    for number, layer in enumerate(blocks, start=1):
        found[f"cnn_block_{number}"] = layer.kind
        if layer.kind == CONVOLUTION:
            found |= {f"cnn_stride_{number}": layer.stride, f"cnn_channels_{number}": layer.units}
    return found


_FILED: Final = {"accuracy": ("accuracy", ACCURACY), "bytes": ("bytes", BYTES), "RAM": ("ram_bytes", RAM)}
"""What a limit is called as an attribute and in a gate file, by its name in `Limits.on`."""
_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([^\s\d.]*)\s*")
SIZES: Final = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "kib": 2**10, "m": 1e6, "mb": 1e6, "mib": 2**20}
"""Bytes in each unit of a size; as everywhere, 1 KB is 1,000 bytes."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a network costs."""

    bytes: int
    """Bytes of the weights and biases."""
    ram_bytes: int
    """Static memory and stack of the C file."""
    multiplications: int
    """Multiplications for one image, if none is skipped."""

    @classmethod
    def of(cls, network: Network, classes: int) -> Costs:
        """Return what is known of a network before it is trained."""
        from edgemnist.pipeline.search.networks import c_ram_bytes

        return cls(
            bytes=network.weight_bytes(classes),
            ram_bytes=c_ram_bytes(network, classes),
            multiplications=network.multiplications(classes),
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How accurate a network must be, and what it may cost; None is no limit. Raises UsageError if out of range."""

    accuracy: float | None = None
    """Least share of the images, 0 to 1, that it gets right."""
    bytes: int | None = None
    ram_bytes: int | None = None
    filed: frozenset[str] = frozenset()
    """Those that a gate file gives: `verify` judges them, artifact by artifact, and `measurements` leaves them out."""

    def __post_init__(self) -> None:
        check_range("--accuracy", None if self.accuracy is None else 100 * self.accuracy, above=1, most=100)
        check_range("--max-bytes", self.bytes, least=1)
        check_range("--max-ram", self.ram_bytes, least=1)

    @classmethod
    def of(cls, *, accuracy: str | None = None, max_bytes: str | None = None, max_ram: str | None = None) -> Limits:
        """Return the limits that options write as `99`, `16k` and `2k`. Raises UsageError for other units."""
        share = read_quantity("--accuracy", accuracy, {"": 1.0, "%": 1.0}, "99", "per cent")
        if share is not None and share <= 1:
            raise UsageError(
                f"--accuracy is in per cent, and {accuracy} is almost nothing", hint=f"Did you mean {100 * share:g}?"
            )
        size = read_quantity("--max-bytes", max_bytes, SIZES, "16k", "bytes, k, KiB, M or MiB")
        ram = read_quantity("--max-ram", max_ram, SIZES, "2k", "bytes, k, KiB, M or MiB")
        return cls(
            accuracy=None if share is None else share / 100,
            bytes=None if size is None else int(size),
            ram_bytes=None if ram is None else int(ram),
        )

    def within(self, gates: GateTable) -> Limits:
        """Return the stricter of these limits and those of a gate file that hold for every C file."""
        found: dict[str, Any] = {}
        filed = set()
        artifacts = [name for name in artifact_names() if name.startswith("c-")]
        for name, (attribute, key) in _FILED.items():
            known = [gates.of(one, arithmetic_of(*one.split("-"))).limits.get(key) for one in artifacts]
            limits, own = [one for one in known if one is not None], getattr(self, attribute)
            if len(limits) < len(known):
                continue
            # The loosest of several: what that forbids, no artifact may be.
            if name == "accuracy":
                limit, stricter = min(limits) / 100, own is None or min(limits) / 100 > own
            else:
                limit, stricter = int(max(limits)), own is None or max(limits) < own
            if stricter:
                found[attribute] = limit
                filed.add(name)
        return replace(self, **found, filed=frozenset(filed))

    def on(self, costs: Costs) -> Iterator[tuple[str, str, int, int, str]]:
        """Yield what each limit of a cost is about: its name, option, what it costs, the limit, and their unit."""
        for name, option, cost, limit, unit in (
            ("bytes", "max-bytes", costs.bytes, self.bytes, "bytes"),
            ("RAM", "max-ram", costs.ram_bytes, self.ram_bytes, "bytes of RAM"),
        ):
            if limit is not None:
                yield name, option, cost, limit, unit

    def excesses(self, costs: Costs) -> dict[str, float]:
        """Return by how much of the limit each cost exceeds it, 0 or less within."""
        return {name: cost / limit - 1 for name, _, cost, limit, _ in self.on(costs)}

    def allow(self, costs: Costs) -> bool:
        """Return whether no cost exceeds its limit."""
        return all(excess <= 0 for excess in self.excesses(costs).values())

    def measurements(self, costs: Costs, accuracy: float) -> list[Measurement]:
        """Return what a trained network has beside each limit."""
        found = []
        if (least := self.accuracy) is not None and "accuracy" not in self.filed:
            reason = f"{percent(accuracy)} accurate, but {percent(least)} was asked for"
            found.append(Measurement("accuracy", accuracy, reason, least=least, origin=COMMAND_LINE))
        return found + [
            Measurement(
                option, cost, f"{cost:,} {unit}, but only {limit:,} are allowed", most=limit, origin=COMMAND_LINE
            )
            for name, option, cost, limit, unit in self.on(costs)
            if name not in self.filed
        ]


def read_quantity(option: str, text: str | None, units: dict[str, float], example: str, names: str) -> float | None:
    """Return a number in the base unit of `units`. Raises UsageError for text that is no number with one of them."""
    if text is None:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} must be a number with a unit, such as {example} (got {text})")
    unit = units.get(found[2].lower())
    if unit is None:
        what = f"in {found[2]}" if found[2] else "without a unit"
        raise UsageError(f"{option} cannot be given {what} (got {text})", hint=f"Its units are {names}: {example}.")
    return float(found[1]) * unit


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A network that a search has trained, for as long as it was worth it."""

    network: str
    costs: Costs
    accuracies: tuple[float, ...]
    """Accuracies on the selection images after each rung, the last after the whole training unless it was stopped."""
    stopped: bool
    """Whether the training was stopped early, or failed: it is no candidate."""
    seconds: float
    finished: int = 0
    """How many were finished before it."""

    @property
    def accuracy(self) -> float:
        """The last that is known, 0 to 1."""
        return self.accuracies[-1] if self.accuracies else 0.0


def best_so_far(tried: Sequence[Tried], limits: Limits) -> Tried | None:
    """Return the smallest network that is accurate enough, or else the most accurate one; None if none was trained."""
    trained = [one for one in tried if not one.stopped]
    enough = [one for one in trained if limits.accuracy is not None and one.accuracy >= limits.accuracy]
    if enough:
        return min(enough, key=_smallest)
    return max(trained, key=_best, default=None)


def choose(tried: Sequence[Tried], limits: Limits) -> dict[str, list[str]]:
    """Return the networks that are worth a whole training, each with the respects in which it is the best.

    These are the most accurate one and, of those that are accurate enough, the smallest and the one with the least RAM.
    Without a limit of the accuracy they are the most accurate of each half of the bytes.
    """
    trained = [one for one in tried if not one.stopped and limits.allow(one.costs)]
    if not trained:
        return {}
    best = max(trained, key=_best)
    found = [("accuracy", best)]
    if limits.accuracy is None:
        for part in (2, 4):
            smaller = [one for one in trained if one.costs.bytes * part <= best.costs.bytes]
            found += [(f"1/{part} of the bytes", max(smaller, key=_best))] if smaller else []
    elif enough := [one for one in trained if one.accuracy >= limits.accuracy]:
        found.append(("bytes", min(enough, key=_smallest)))
        found.append(("RAM", min(enough, key=lambda one: (one.costs.ram_bytes, -one.accuracy))))
    chosen: dict[str, list[str]] = {}
    for reason, one in found:
        chosen.setdefault(one.network, []).append(reason)
    return chosen


def _best(one: Tried) -> tuple[float, int]:
    return one.accuracy, -one.costs.bytes


def _smallest(one: Tried) -> tuple[int, float]:
    return one.costs.bytes, -one.accuracy
