"""The sizes and losses that are promised for 784-512-10, on the 10,000 test images of MNIST."""

from __future__ import annotations

import pytest

from edgemnist.data.sources import find_dataset
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports import Exports
from edgemnist.results.verify import ArtifactParity
from edgemnist.train.recipes import TrainConfig
from edgemnist.train.run import train
from edgemnist.verify.run import verify
from tests.conftest import MNIST

pytestmark = [
    pytest.mark.needs("EDGEMNIST_DATA"),
]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ArtifactParity, int]]:
    """Parity and size, by name, of everything that is exported from the baseline."""
    exports, dataset = tmp_path_factory.mktemp("full") / "exports", find_dataset(MNIST)
    train(dataset, TrainConfig(recipe="baseline"), exports)
    made = export_model(ExportConfig.of(), dataset, exports)
    sizes = {artifact.name: artifact.bytes for artifact in made.artifacts}
    verified = verify(Exports.open(exports)).artifacts
    return {parity.name: (parity, sizes[parity.name.partition("@")[0]]) for parity in verified}


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-int8"])
def test_int8_loses_a_tenth_of_a_point_at_most(name: str, artifacts: dict[str, tuple[ArtifactParity, int]]) -> None:
    parity, size = artifacts[name]
    assert parity.accuracy_drop_points <= 0.1
    assert parity.agreement >= 0.998
    assert size <= 430_000


def test_int4_loses_a_fifth_of_a_point_at_most(artifacts: dict[str, tuple[ArtifactParity, int]]) -> None:
    parity, size = artifacts["tflite-int4"]
    assert parity.accuracy_drop_points <= 0.2
    assert size <= 220_000


def test_float32_changes_nothing(artifacts: dict[str, tuple[ArtifactParity, int]]) -> None:
    for name in ("tflite-float32", "onnx-float32"):
        parity, _ = artifacts[name]
        assert parity.flips == 0
        assert parity.max_abs_diff <= 1e-5


def test_every_artifact_passes_its_gate(artifacts: dict[str, tuple[ArtifactParity, int]]) -> None:
    assert {spec.name for spec in ExportConfig.of().specs} <= artifacts.keys()
    assert {name: parity.reasons for name, (parity, _) in artifacts.items() if not parity.passed} == {}
