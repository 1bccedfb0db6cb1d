"""TFLM takes full-int8 files and nothing else, and rounds as it says: twice, as gemmlowp does."""

from pathlib import Path

import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import Exports
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.pipeline.verify.run import verify

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


def test_a_file_of_floats_is_refused_with_what_it_takes(made_exports: Path) -> None:
    with pytest.raises(ArtifactError, match="not quantized to 8 bits") as caught:
        load(made_exports / "tflite-float32.tflite", runtime="tflm")
    assert "tflite-int8" in caught.value.hint
