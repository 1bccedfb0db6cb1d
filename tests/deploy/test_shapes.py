"""A board gets models of other shapes as it gets those of digits: tested there, answering, looked after, taken back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemnist.field.review.run import review_on
from edgemnist.field.samples.store import SampleStore
from edgemnist.fleet.deploy.run import DeployConfig, deploy_to, doctor_on, rollback_on
from tests.conftest import run_edgemnist
from tests.deploy.bundles import bundled
from tests.deploy.loopback import LoopbackBoard
from tests.notices import Notices
from tests.shapes.made import INT8, LABELS, make_exports, sample


@pytest.mark.parametrize("name", ["meter", "row", "numbers"])
def test_a_board_of_digits_gets_a_model_of_another_shape_and_goes_back(
    name: str, board: LoopbackBoard, old: str, tmp_path: Path
) -> None:
    numbers = name == "numbers"
    exports = make_exports(tmp_path / "made", "long" if numbers else name, numbers=numbers, int8=True)
    golden, bundle = exports.read_golden(), bundled(exports.directory)
    result = deploy_to(board.target, bundle, DeployConfig(retries=0), lambda _: None)
    assert result.fault is None, result.fault
    assert result.selftest is not None
    assert {row.replay.verdict for row in result.selftest.artifacts if row.replay} == {"identical"}
    assert board.serves() == bundle.record.identity()[:12]
    checks = {check.name: check for check in doctor_on(board.target).findings}
    assert checks[INT8].level.value == "ok"
    file = tmp_path / ("x.png" if name == "meter" else "x.npy")
    if name == "meter":
        Image.fromarray(golden.images[0]).save(file)
    else:
        np.save(file, golden.images[:2])
    done = run_edgemnist("predict", file.name, "--on", "board", "--json", cwd=tmp_path, env=board.environment)
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)["predictions"]
    assert (first["source"], len(others)) == (("x.png", 0) if name == "meter" else ("x.npy[0]", 1))
    if numbers:
        np.testing.assert_array_equal(np.array(first["values"], np.float32), golden.probabilities[0].ravel())
    else:
        assert first["digit"] == LABELS[int(golden.probabilities[0].argmax())]
    if not numbers:
        samples, spec = tmp_path / "samples", exports.task.input
        with SampleStore.open(samples, create=True, spec=spec, labels=LABELS) as store:
            store.add(sample(spec))

        def label(copy: SampleStore) -> None:
            assert copy.labels == list(LABELS)
            copy.label(copy.samples()[0].id, LABELS[3], "ada")

        assert review_on(board.target, str(samples), label, Notices()) == 1
        with SampleStore.open(samples) as store:
            assert [one.label for one in store.samples()] == [LABELS[3]]
    assert rollback_on(board.target, None, 10.0).previous == result.release
    assert board.serves() == old
