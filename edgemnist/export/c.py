"""One C file with the network and the engine that executes it, for whatever has a C compiler."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.export.interface import Exported
from edgemnist.export.projects import HEADER
from edgemnist.export.tflite import TFLiteExporter
from edgemnist.exports.manifest import TensorSpec, sha256
from edgemnist.native.amalgamation import Origin, c_source, describe
from edgemnist.native.build import find_compiler
from edgemnist.native.network import read_network
from edgemnist.runtimes.integer import chain
from edgemnist.runtimes.tflite import read_graph


class CExporter(TFLiteExporter):
    """Writes the network of `tflite-int8` as C: both answer the same bits."""

    format: ClassVar[str] = "c"

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a C file; see `Exporter.convert`. A part of the model need be no classifier, and stays TFLite."""
        from edgemnist import __version__

        tflite = super().convert(model, quantization)
        if found := super().departures(tflite, quantization):
            raise ValueError(found[0])
        graph = read_graph(tflite)
        chain(graph)
        if model is not self.source.model:
            return tflite
        origin = Origin(
            version=__version__,
            model_sha256=self.source.sha256,
            tflite_sha256=sha256(tflite),
            labels=self.labels,
        )
        return c_source(read_network(graph), origin).encode()

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return nothing: what is not full int8 has not become C; see `Exporter.departures`."""
        del data, quantization
        return []

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Compile a C file if there is a compiler; see `Exporter.inspect`."""
        if find_compiler() is not None:
            from edgemnist.native.compiled import CompiledClassifier

            with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
                path = Path(directory) / f"{self.format}-{quantization}.c"
                path.write_bytes(data)
                CompiledClassifier(path, Path(path.name), labels=self.labels)
        described = describe(data)
        if described is None:
            raise self._not_as_asked(quantization, "it is no C file of edgemnist")
        return Exported(
            data=data,
            input=TensorSpec(name="image", dtype="uint8", shape=[IMAGE_SIDE**2]),
            output=TensorSpec(
                name="probabilities",
                dtype="uint8",
                shape=[described.classes],
                scale=described.scale,
                zero_point=described.zero_point,
            ),
            companions={HEADER: described.header.encode()},
        )
