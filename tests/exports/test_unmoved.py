"""Digits stay what they are: what is recorded, hashed and computed of them, to the byte, whatever else is taken."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.digits.training import RECIPES
from edgemnist.ground.inputs import INPUT_RANGES, InputSpec, range_ends
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import decode_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes.pixels import Numbers, quantize_pixels
from edgemnist.model.task import default_task
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import Recipe, digest
from tests.conftest import MADE_EXPORTS, MAKING_EXPORTS, OLD_EXPORTS, Run, run_edgemnist
from tests.notices import Notices

SCALES = np.concatenate([np.geomspace(1e-4, 0.5, 999), [1 / 255, 1 / 127.5, 0.003921568859368563]])
ALL_RANGES = (*INPUT_RANGES, "-2..2", "0..0.1", "16..235", "(x/255 - 0.5)/0.25", "255..0")


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_manifest_of_digits_is_written_as_it_was_read() -> None:
    assert read_manifest(MADE_EXPORTS).encode() == (MADE_EXPORTS / "manifest.json").read_bytes()


def test_a_golden_pack_of_digits_is_written_as_it_was_read(tmp_path: Path) -> None:
    packed, again = MADE_EXPORTS / "golden.npz", tmp_path / "golden.npz"
    again.write_bytes(decode_golden(packed.read_bytes()).encode())
    # Compressed, they depend on the version of zlib.
    assert list(members(again).items()) == list(members(packed).items())


def test_what_a_model_is_tried_with_is_the_same() -> None:
    probes = default_task().input.probes()
    assert (str(probes.dtype), probes.shape) == ("uint8", (5, 28, 28))
    assert sha256(probes.tobytes()) == "255d4a8432e79c74aaa5c3e29d989e1ace36f81caef0664b58238e4a770d47be"


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("name", ALL_RANGES)
def test_pixels_are_quantized_by_the_ends_of_their_range(name: str, dtype: type[np.integer[Any]]) -> None:
    low, high = range_ends(name)
    limits = np.iinfo(dtype)
    for scale in SCALES:
        zero = int(np.clip(limits.min - round(min(low, high) / scale), limits.min, limits.max))
        steps = np.floor((np.arange(256) / 255 * (high - low) + low) / scale + 0.5) + zero
        expected = np.clip(steps, limits.min, limits.max).astype(dtype)
        found = quantize_pixels(Numbers(np.dtype(dtype), float(scale), zero), InputSpec.of_range((28, 28), name))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected, f"{scale}")


VERSIONS = {"baseline": "bc5eea36f818b575", "standard": "1777e14d77ca5995", "best": "330be15ba42508fa"}
"""Checkpoints and records name a recipe by these."""


@pytest.mark.parametrize(("name", "recipe"), RECIPES.items())
def test_a_recipe_goes_by_the_same_hash(name: str, recipe: Recipe) -> None:
    assert digest(recipe) == VERSIONS[name]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("mlp:16", "832a1f05868ac958"),
        ("mlp:12:134-26:4bit", "c4b029fd25ac9898"),
        ("cnn:28:c8s2-c12-max-c16-c20:4bit", "29103b2ba6720d31"),
    ],
)
def test_a_network_goes_by_the_same_words(network: str, expected: str) -> None:
    assert digest(Network.parse(network)) == expected


@pytest.mark.all
def test_a_teacher_goes_by_the_same_name() -> None:
    from edgemnist.pipeline.train.distillation import CONVOLUTIONS

    assert RECIPES["best"].distillation is not None
    assert digest(RECIPES["best"].distillation.teacher, CONVOLUTIONS) == "209a70fbe002bfc2"


@pytest.mark.all
def test_an_export_of_the_same_model_is_the_same_bytes(tmp_path: Path, cache: Path) -> None:
    exports = Path(shutil.copytree(MADE_EXPORTS, tmp_path / "exports"))
    before = json.loads((exports / "manifest.json").read_text())
    recorded = {one["file"]: one["sha256"] for one in before["artifacts"]}
    emptied = {**before, "artifacts": [], "golden": None, "answers": None}
    (exports / "manifest.json").write_text(json.dumps(emptied))
    for file in (*recorded, "golden.npz", "answers.npz"):
        (exports / file).unlink()
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    done = run_edgemnist(*MAKING_EXPORTS[1].split(), cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    after = json.loads((exports / "manifest.json").read_text())
    assert {one["file"]: one["sha256"] for one in after["artifacts"]} == recorded
    assert list(after) == list(before)
    assert [list(one) for one in after["artifacts"]] == [list(one) for one in before["artifacts"]]
    # Answers in floating point may differ in their last bit from one CPU to another.
    found, expected = members(exports / "golden.npz"), members(MADE_EXPORTS / "golden.npz")
    assert list(found) == list(expected)
    assert [name for name in found if found[name] != expected[name] and name != "probabilities.npy"] == []


NAMES = ["tflite-int8", "tflite-float32", "onnx-float32"]


def test_everything_in_them_counts_but_verdicts_that_do_not_say_what_they_rest_on() -> None:
    notices = Notices()
    exports = Exports.open(OLD_EXPORTS, notices)
    assert [(one.name, one.status) for one in exports.artifacts] == [(name, "current") for name in NAMES]
    assert not any(exports.findings.is_verified(name) for name in NAMES)
    assert [one.scenario for one in exports.findings.scenarios] == ["single-stream"]
    training = exports.findings.training
    assert training is not None
    assert training.current
    verified = exports.findings.verify
    assert verified is not None
    again = f"run edgemnist verify --exports {OLD_EXPORTS}"
    assert verified.reason == f"{OLD_EXPORTS}: an earlier edgemnist judged it, or none: {again}"
    assert [one["name"] for one in verified.result.layers] == ["tflite-int8"]
    assert not exports.best().verified
    assert notices.messages == []


def test_commands_say_nothing_about_their_age(old_exports: Path, edgemnist: Run) -> None:
    for words in (["predict", "--index", "0"], ["recommend"], ["report", "--markdown", "--output", "r.md"], ["verify"]):
        done = edgemnist(*words, "--exports", old_exports)
        assert (done.returncode, done.stderr) == (0, ""), words
