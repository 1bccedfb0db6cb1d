"""The RAM that a search goes by is that of the C file, and follows from a line of text."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemnist.data.dataset import Dataset
from edgemnist.export.c import CExporter
from edgemnist.export.model import read_source
from edgemnist.native.layout import lay_out
from edgemnist.search.costs import c_ram_bytes, native_network
from edgemnist.train.network import Network


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
    from edgemnist.train.families import student_of

    network = Network.parse(spec)
    student = student_of(network, len(dataset.labels), seed=3)
    student.model.set_weights(student.finished(student.weights, dataset.train.images[:500]))
    student.model.save(tmp_path / "network.keras")
    exporter = CExporter(read_source(tmp_path / "network.keras"), dataset.labels, dataset.train.images[:50])
    footprint = exporter.export(f"int{network.bits}").footprint
    assert footprint is not None
    assert c_ram_bytes(network, len(dataset.labels)) == footprint.ram_bytes


def test_what_a_pooling_leaves_out_is_neither_computed_nor_kept() -> None:
    """Of 9×9 places the pooling looks at 8×8; for these the layers before it need 10×10 of 11×11 and 12×12 of 13×13."""
    network = native_network(Network.parse("cnn:28:c8s2-c8-c8-max:8bit"), 10)
    windows = lay_out(network, group=1, block=8, alignment=4).windows
    assert [(one["out_height"], one["out_width"]) for one in windows] == [(12, 12), (10, 10), (8, 8), (4, 4)]
    assert [(one["height"], one["width"]) for one in windows] == [(28, 28), (12, 12), (10, 10), (8, 8)]
    assert [one["kept"] * one["row_bytes"] for one in windows] == [3 * 12 * 8, 3 * 10 * 8, 2 * 8 * 8, 4 * 4 * 8]
