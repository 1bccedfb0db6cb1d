"""TFLM takes full-int8 files and nothing else, and rounds as it says: twice, as gemmlowp does."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from edgemnist.errors import ArtifactError
from edgemnist.exports import Exports
from edgemnist.runtimes import RUNTIMES, load
from edgemnist.verify.run import verify
from tests.notices import Notices

pytestmark = pytest.mark.skipif(bool(RUNTIMES["tflm"].missing()), reason=RUNTIMES["tflm"].install_line())


def test_it_votes_and_its_rounding_rule_is_found_to_the_last_bit(made_exports: Path) -> None:
    names = ["tflite-int8", "tflite-int8@tflm", "tflite-int8@integer"]
    result = verify(Exports.open(made_exports), names, rounding=True)
    assert result.vote is not None
    assert {"litert", "tflm", "integer"} == {voter.runtime for voter in result.vote.voters}
    rules = {one.name: one.rules for one in result.rounding}
    assert set(rules) == set(names)
    assert all(len(found) == 6 for found in rules.values())
    differing = {
        name: {(rule.rescaling, rule.softmax): rule.differing for rule in found} for name, found in rules.items()
    }
    # LiteRT's optimized kernels, TFLM's default and the reference itself.
    assert differing["tflite-int8"]["single", "float"] == 0
    assert differing["tflite-int8@integer"]["single", "integer"] == 0
    tflm = rules["tflite-int8@tflm"]
    assert (tflm[0].rescaling, tflm[0].softmax, tflm[0].differing) == ("double", "integer", 0)
    assert differing["tflite-int8@tflm"]["single", "integer"] > 0


def test_a_float_file_has_no_rounding_rule_and_is_told_so(made_exports: Path) -> None:
    notices = Notices()
    result = verify(Exports.open(made_exports), ["tflite-float32", "onnx-int8"], reporter=notices, rounding=True)
    assert result.rounding == []
    assert "--rounding says nothing about it" in " ".join(notices.messages)


def test_a_file_of_floats_is_refused_with_what_it_takes(made_exports: Path) -> None:
    with pytest.raises(ArtifactError, match="not quantized to 8 bits") as caught:
        load(made_exports / "tflite-float32.tflite", runtime="tflm")
    assert "tflite-int8" in caught.value.hint


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_an_artifact_error_or_another_network(seed: int, made_exports: Path, tmp_path: Path) -> None:
    rng, data = random.Random(seed), bytearray((made_exports / "tflite-int8.tflite").read_bytes())
    path = tmp_path / "damaged.tflite"
    if seed % 2:
        path.write_bytes(data[: rng.randrange(64, len(data))])
        with pytest.raises(ArtifactError, match=r"damaged\.tflite"):
            load(path, runtime="tflm")
        return
    # Offsets and sizes stand at both ends.
    for _ in range(3):
        data[rng.choice((rng.randrange(600), -rng.randrange(1, 4000)))] = rng.randrange(256)
    path.write_bytes(data)
    with contextlib.suppress(ArtifactError):
        load(path, runtime="tflm")
