"""One C file with the network and the engine that executes it, for anything that has a C compiler."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Final

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ModelError
from edgemnist.export.interface import Exported
from edgemnist.export.lowbit import LEVELS, largest_weight
from edgemnist.export.projects import HEADER
from edgemnist.export.tflite import TFLiteExporter
from edgemnist.exports.manifest import Footprint, TensorSpec
from edgemnist.native.amalgamation import Origin, c_source, describe
from edgemnist.native.build import find_compiler
from edgemnist.native.network import Network, read_network
from edgemnist.runtimes.integer import Rounding, chain, step
from edgemnist.runtimes.tflite import read_graph
from edgemnist.storage import sha256

TWIN: Final = "int8"
"""The quantization of the TFLite file that the network is read from."""
BITS: Final = {"int4": 4, "int2": 2}
"""Bits of a weight, by quantization, if fewer than 8."""


class NetworkExporter(TFLiteExporter):
    """Writes the network of `tflite-int8` for our own engine: both give the same answers, bit for bit."""

    @abstractmethod
    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the file for a network."""

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a file; see `Exporter.convert`. It holds weights in as few bits as they need.

        A part of the model need not be a classifier, and stays TFLite. Raises ModelError if weights need more bits than
        were asked for.
        """
        from edgemnist import __version__

        tflite = super().convert(model, TWIN)
        if found := super().departures(tflite, TWIN):
            raise ValueError(found[0])
        self._check_width(tflite, quantization)
        graph = read_graph(tflite)
        for operator in chain(graph):
            step(graph, operator, Rounding())
        if model is not self.source.model:
            return tflite
        origin = Origin(
            version=__version__,
            model_sha256=self.source.sha256,
            tflite_sha256=sha256(tflite),
            labels=self.labels,
        )
        return self.written(read_network(graph), origin)

    def _check_width(self, tflite: bytes, quantization: str) -> None:
        """Raise ModelError if weights need more bits than were asked for."""
        if quantization in BITS and (found := largest_weight(tflite)) > LEVELS[quantization]:
            bits, most = BITS[quantization], LEVELS[quantization]
            raise ModelError(
                f"{self.source.path} cannot be exported as {self.format}-{quantization}: its weights were not trained "
                f"for {bits} bits, which hold {-most} to {most}, but reach {found}",
                hint=f"Train a network for it, for example with: edgemnist train --network mlp:14:64-32:{bits}bit",
            )

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return nothing: a file that is not full int8 never becomes a network; see `Exporter.departures`."""
        del data, quantization
        return []


def score_tensor(classes: int, scale: float, zero_point: int) -> TensorSpec:
    """Return the record of the answers."""
    return TensorSpec(name="probabilities", dtype="uint8", shape=[classes], scale=scale, zero_point=zero_point)


IMAGE: Final = TensorSpec(name="image", dtype="uint8", shape=[IMAGE_SIDE**2])


class CExporter(NetworkExporter):
    """Writes the network as C."""

    format: ClassVar[str] = "c"

    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the C file for a network."""
        return c_source(network, origin).encode()

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Compile a C file if there is a compiler; see `Exporter.inspect`."""
        if find_compiler() is not None:
            from edgemnist.native.compiled import CompiledClassifier

            CompiledClassifier(data, Path(f"{self.format}-{quantization}.c"), labels=self.labels)
        described = describe(data)
        if described is None:
            raise self._not_as_asked(quantization, "it is not a C file that edgemnist wrote")
        return Exported(
            data=data,
            input=IMAGE,
            output=score_tensor(described.classes, described.scale, described.zero_point),
            footprint=Footprint(
                flash_bytes=described.data_bytes + described.engine_bytes,
                ram_bytes=described.memory_bytes,
            ),
            companions={HEADER: described.header.encode()},
        )
