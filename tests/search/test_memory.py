"""The RAM that a search goes by is that of the C file, and follows from a line of text."""

from pathlib import Path

import pytest

from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.c import CExporter
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.search.networks import c_ram_bytes
from edgemnist.pipeline.train.network import Network


@pytest.mark.parametrize(
    "spec",
    [
        "mlp:7:12-8:8bit",
        "mlp:24:12:4bit",
        "mlp:12:16-8:4bit",
        # Every kind of layer, and rows and columns that no later layer looks at.
        "cnn:28:c4s2-ds2-p6-max:2bit",
        "cnn:14:c6-max-c10-mean:4bit",
    ],
)
def test_the_ram_of_a_network_is_that_of_its_c_file(spec: str, dataset: Dataset, tmp_path: Path) -> None:
    from edgemnist.pipeline.train.families import student_of

    network = Network.parse(spec)
    student = student_of(network, len(dataset.labels), seed=3)
    student.model.set_weights(student.finished(student.weights, dataset.train.images[:500]))
    student.model.save(tmp_path / "network.keras")
    exporter = CExporter(read_source(tmp_path / "network.keras"), dataset.labels, dataset.train.images[:50])
    footprint = exporter.export(f"int{network.bits}").footprint
    assert footprint is not None
    assert c_ram_bytes(network, len(dataset.labels)) == footprint.ram_bytes
