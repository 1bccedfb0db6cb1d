"""What a network costs before it is trained: the memory of its C file, and the time of its shape, which is measured.

Its weights hardly matter to either.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.bench.config import BenchConfig
from edgemnist.data.dataset import Dataset
from edgemnist.export.interface import ArtifactSpec, ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports import Exports
from edgemnist.exports.manifest import MODEL_FILE
from edgemnist.formats import UNIT
from edgemnist.native.amalgamation import static_bytes
from edgemnist.native.layers import Convolution, Crop, Dense, Depthwise, Layer, Pool
from edgemnist.native.network import Network as NativeNetwork
from edgemnist.runtimes.pixels import Numbers
from edgemnist.runtimes.windows import Window, cropping
from edgemnist.storage import write_file
from edgemnist.train.network import DENSE, DEPTHWISE, KERNEL, MAXIMUM, MEAN, POINTWISE, Network, Stage

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress

_RANGE: Final[dict[str, Any]] = {"name": "", "zero_point": 0, "low": 0, "high": 255}


def c_ram_bytes(network: Network, classes: int) -> int:
    """Return the bytes of static memory that the C file of a network takes."""
    return static_bytes(native_network(network, classes))


def native_network(network: Network, classes: int) -> NativeNetwork:
    """Return a network as the engine takes it, with weights of 0."""
    output = Numbers(dtype=np.dtype(np.int8), scale=1 / 256, zero_point=-128)
    return NativeNetwork(pixel_map=None, layers=tuple(_layers(network, classes)), output=output)


def _layers(network: Network, classes: int) -> Iterator[Layer]:
    side = IMAGE_SIDE
    if network.rim:
        window = cropping((side, side, 1), top=network.rim, left=network.rim, below=network.rim, beyond=network.rim)
        yield Crop(window=window, **_RANGE)
        side -= 2 * network.rim
    if network.averaged > 1:
        window = _window((side, side, 1), network.averaged, network.averaged)
        yield Pool(window=window, average=True, zero=0, **_RANGE)
    for stage in network.stages(classes):
        yield _layer(stage)


def _layer(stage: Stage) -> Layer:
    kind, channels = stage.layer.kind, stage.target.channels
    if kind in {MAXIMUM, MEAN}:
        side = stage.layer.stride if kind == MAXIMUM else stage.source.height
        return Pool(window=_window(stage.source, side, side), average=kind == MEAN, zero=0, **_RANGE)
    sums: dict[str, Any] = {
        "bias": np.zeros(channels, np.int64),
        "multiplier": np.zeros(channels, np.int32),
        "shift": np.ones(channels, np.uint8),
    }
    if kind == DENSE:
        return Dense(weights=np.zeros((channels, stage.source.size), np.int8), **sums, **_RANGE)
    kernel = 1 if kind == POINTWISE else KERNEL
    window = _window(stage.source, kernel, stage.layer.stride)
    if kind == DEPTHWISE:
        return Depthwise(window=window, zero=0, weights=np.zeros((kernel**2, channels), np.int8), **sums, **_RANGE)
    weights = np.zeros((channels, kernel**2 * stage.source.channels), np.int8)
    return Convolution(window=window, zero=0, weights=weights, **sums, **_RANGE)


def _window(image: tuple[int, int, int], kernel: int, stride: int) -> Window:
    height, width, channels = image
    return Window(
        height=height,
        width=width,
        channels=channels,
        out_height=(height - kernel) // stride + 1,
        out_width=(width - kernel) // stride + 1,
        kernel_height=kernel,
        kernel_width=kernel,
        stride_height=stride,
        stride_width=stride,
    )


SAMPLE_IMAGES: Final = 256
"""Real digits that a shape is timed with: blank paper costs nothing, so the ink counts."""
ARTIFACT: Final = ArtifactSpec("tflite", "int8")
HERE: Final = "this machine"


@dataclass(frozen=True, kw_only=True)
class Stopwatch:
    """Measures shapes, here or on a board."""

    sample: Dataset
    """A few images, see `sample_of`."""
    timing: BenchConfig
    board: BoardAddress | None = None
    """Where to measure; None for this machine."""

    def __call__(self, network: Network) -> float:
        """Return the p50 of one image, in microseconds, of the fastest runtime.

        Raises what `bench` and `bench_files_on` raise.
        """
        with tempfile.TemporaryDirectory(prefix="edgemnist-") as scratch:
            directory = Path(scratch)
            self._export(network, directory)
            if self.board is None:
                from edgemnist.bench.run import bench

                result = bench(Exports.open(directory), None, self.timing)
            else:
                from edgemnist.deploy.remote import bench_files_on

                words = ["--samples", str(self.timing.samples), "--seconds", str(self.timing.seconds)]
                words += ["--rounds", str(self.timing.rounds), "--no-keras"]
                result = bench_files_on(self.board, directory, words)
        return min(one.p50_us for one in result.results)

    def _export(self, network: Network, directory: Path) -> None:
        from edgemnist.runtimes.keras import model_bytes
        from edgemnist.train.families import student_of

        untrained = student_of(network, len(self.sample.labels), seed=0).model
        write_file(directory / MODEL_FILE, model_bytes(untrained))
        config = ExportConfig(specs=(ARTIFACT,), model=directory / MODEL_FILE, input_range=UNIT)
        export_model(config, self.sample, directory)


def sample_of(dataset: Dataset) -> Dataset:
    """Return a data set of a few training images, evenly spread, in place of both splits."""
    train = dataset.train
    few = train.take(np.linspace(0, len(train) - 1, min(SAMPLE_IMAGES, len(train))).astype(np.int64))
    return Dataset(train=few, test=few, labels=dataset.labels, identity=dataset.identity)
