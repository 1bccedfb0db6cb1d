"""One C file with the network and the engine that executes it, for anything that has a C compiler."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from edgemnist import __version__
from edgemnist.errors import ModelError
from edgemnist.ground.storage import sha256
from edgemnist.model.exports.manifest import Footprint, TensorSpec
from edgemnist.model.native import find_compiler
from edgemnist.model.native.amalgamation import RECOMMENDED, Origin, c_file
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.runtimes.integer import Rounding, plan
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.model.task import Task, default_task
from edgemnist.pipeline.export.interface import Exported
from edgemnist.pipeline.export.tflite import LEVELS, TFLiteExporter, largest_weight

HEADER: Final = "edgemnist.h"
"""The declarations beside it: they depend on what the network takes and answers, and not on its weights."""
TWIN: Final = "int8"
"""The quantization of the TFLite file that the network is read from."""


class NetworkExporter(TFLiteExporter):
    """Writes the network of `tflite-int8` for our own engine: both give the same answers, bit for bit."""

    @abstractmethod
    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the file for a network."""

    def export(self, quantization: str) -> Exported:
        """Convert the model, and check the result; see `Exporter.export`."""
        exported = super().export(quantization)
        return replace(exported, twin=self._twin)

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a file; see `Exporter.convert`. It holds weights in as few bits as they need.

        A part of the model need not be a classifier, and stays TFLite. Raises ModelError if weights need more bits than
        were asked for.
        """
        self._twin = tflite = self.source.tflite or super().convert(model, TWIN)
        if self.source.tflite is None and (departures := super().departures(tflite, TWIN)):
            raise ValueError(departures[0])
        if quantization != TWIN and (found := largest_weight(tflite)) > (most := LEVELS[quantization]):
            bits = quantization.removeprefix("int")
            raise ModelError(
                f"{self.source.path} cannot be exported as {self.format}-{quantization}: its weights were not trained "
                f"for {bits} bits, which hold {-most} to {most}, but reach {found}",
                hint=f"Train a network for it, for example with: edgemnist train --network mlp:64-32:{bits}bit",
            )
        graph = read_graph(tflite)
        plan(graph)
        if model is not self.source.model:
            return tflite
        network = read_network(graph, self.source.spec, Rounding(self.source.rounding))
        origin = Origin(
            version=__version__,
            model_sha256=self.source.sha256,
            tflite_sha256=sha256(tflite),
            labels=() if self.source.numbers else self.labels,
            source=self.source.title,
            task=self._task(network),
        )
        return self.written(network, origin)

    def _task(self, network: Network) -> Task | None:
        """Return what the network is for; None where pictures are prepared as usual."""
        task = self.source.task
        if task.preparer == default_task().preparer:
            return None
        return msgspec.structs.replace(task, input=network.spec)

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return nothing: a file that is not full int8 never becomes a network; see `Exporter.departures`."""
        del data, quantization
        return []


def tensors_of(network: Network, labels: Sequence[str]) -> tuple[TensorSpec, TensorSpec]:
    """Return the records of a network's input and of its answers."""
    source = TensorSpec(name="image" if network.spec.is_picture else "input", dtype="uint8", shape=[network.inputs])
    if network.takes_levels:
        zero_point = network.held.zero_point - network.held.lowest
        source = msgspec.structs.replace(source, scale=network.held.scale, zero_point=zero_point)
    name = "probabilities" if labels else "numbers"
    scale, zero_point = network.score_scale, network.score_zero_point
    return source, TensorSpec(name=name, dtype="uint8", shape=[network.classes], scale=scale, zero_point=zero_point)


class CExporter(NetworkExporter):
    """Writes the network as C."""

    format: ClassVar[str] = "c"

    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the C file for a network."""
        self._made, self._network, self._labels = c_file(network, origin), network, origin.labels
        return self._made.text.encode()

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Compile a C file if there is a compiler; see `Exporter.inspect`."""
        if find_compiler() is not None:
            from edgemnist.model.native.classifier import CompiledClassifier

            CompiledClassifier(data, Path(f"{self.format}-{quantization}.c"), labels=self._labels or None)
        source, target = tensors_of(self._network, self._labels)
        return Exported(
            data=data,
            input=source,
            output=target,
            footprint=Footprint(**asdict(self._made.needs[RECOMMENDED])),
            companions={HEADER: self._made.header.encode()},
            rounding=self.source.rounding,
        )
