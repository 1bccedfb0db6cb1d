"""A runtime is compared with the integer reference of its file, and with itself on the exporting machine."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native.amalgamation import Origin, c_source
from edgemnist.model.native.classifier import read_network_file
from edgemnist.model.native.webassembly import About
from edgemnist.model.runtimes import load
from edgemnist.pipeline.verify.gate import GATES
from edgemnist.pipeline.verify.reference import integer_answers, replay
from tests.notices import Notices
from tests.verify.gates import missed_replay


def test_an_answer_at_the_very_limit_of_the_gate_passes() -> None:
    gate = GATES["int8"]
    same = np.tile(np.array([[0.25, 0.75]], np.float32), (1_000, 1))
    found = replay(same, same, quantization="int8", output_scale=1 / 256)
    allowed = gate.allowed("max_batch_flips_percent", 1_000)
    at_limit = msgspec.structs.replace(found, flips=allowed, max_abs_diff=gate["max_batch_diff"])
    assert missed_replay(gate, at_limit) == []
    beyond = msgspec.structs.replace(found, flips=allowed + 1, max_abs_diff=gate["max_batch_diff"] * 1.1)
    first, second = missed_replay(gate, beyond)
    assert first == f"{allowed + 1:,} of 1,000 labels differ from the exporting machine's, {allowed:,} allowed"
    assert second.startswith("a probability differs by ")


STEP = 1 / 256
REFERENCE = Path(__file__).parents[2] / "exports" / "reference"


def test_the_integer_reference_answers_for_the_shipped_artifact_and_for_no_other_format(tmp_path: Path) -> None:
    exports = Exports.open(REFERENCE)
    pack, model, notices = read_golden(REFERENCE, read_manifest(REFERENCE)), exports.model("tflite-int8"), Notices()
    few = dataclasses.replace(pack, images=pack.images[:20])
    answers = integer_answers(model, few, notices)
    assert answers is not None
    assert answers.shape == (20, 10)
    assert np.array_equal(answers, load(model.path, runtime="integer").predict_proba(few.images))
    assert model.twin == model.path
    other = dataclasses.replace(model, path=tmp_path / "other.onnx")
    assert integer_answers(other, few, notices) is None
    assert notices.messages == []


def test_the_integer_reference_reads_the_tflite_file_that_a_c_file_or_a_page_was_made_with(tmp_path: Path) -> None:
    model, tflite = Exports.open(REFERENCE).model("tflite-int8"), REFERENCE / "tflite-int8.tflite"
    labels = [str(label) for label in range(10)]
    origin = Origin(version="1", model_sha256="0" * 64, tflite_sha256=sha256(tflite.read_bytes()), labels=labels)
    said = {
        name: value for name, value in vars(origin).items() if name in {one.name for one in dataclasses.fields(About)}
    }
    about = About(**said, name="web-int8", scale=1 / 256, zero_point=0, logits=False)
    page = b'<script type="application/json" id="carried-about">' + msgspec.json.encode(vars(about)) + b"</script>"
    files = {"c-int8.c": c_source(read_network_file(tflite), origin).encode(), "web-int8.html": page}
    pack = read_golden(REFERENCE, read_manifest(REFERENCE))
    few = dataclasses.replace(pack, images=pack.images[:20])
    for name, data in files.items():
        made = dataclasses.replace(model, path=tmp_path / name)
        made.path.write_bytes(data)
        (tmp_path / "another.tflite").write_bytes(b"another")
        twin = tmp_path / "twin.tflite"
        twin.unlink(missing_ok=True)
        notices = Notices()
        assert made.twin is None
        assert integer_answers(made, few, notices) is None
        (message,) = notices.messages
        assert message.startswith(f"{made.path} was made with a TFLite file that is not beside it, so ")
        assert message.endswith("the integer reference does not check it.")
        twin.write_bytes(tflite.read_bytes())
        assert made.twin == twin
        answers = integer_answers(made, few)
        assert answers is not None
        assert np.array_equal(answers, load(tflite, runtime="integer").predict_proba(few.images))
        made.path.write_bytes(b"of somebody else")
        assert made.twin is None


def test_a_replay_says_by_how_much_and_on_how_many_images_the_answers_differ() -> None:
    there = np.tile(np.array([[0.9, 0.1]], np.float32), (10_000, 1))
    here = there.copy()
    here[:6] = 0.25, 0.75
    found = replay(here, there, quantization="int8", output_scale=1 / 256)
    assert (found.verdict, found.images, found.flips, found.differing, found.beyond_rounding) == (
        "flips", 10_000, 6, 12, 12,
    )  # fmt: skip
    assert found.max_steps == round(0.65 * 256)
    assert missed_replay(GATES["int8"], found) == [
        "6 of 10,000 labels differ from the exporting machine's, 5 allowed",
        "a probability differs by 0.65 from the exporting machine's, 0.0078 allowed",
    ]
    here[5] = there[5]
    here[:5] = 0.899, 0.101
    assert missed_replay(GATES["int8"], replay(here, there, quantization="int8")) == []
    here[0] = np.nan
    broken = replay(here, there, quantization="int8", output_scale=1 / 256)
    assert (broken.max_abs_diff, broken.max_steps) == (float("inf"), None)
    assert "are not numbers" in missed_replay(GATES["int8"], broken)[-1]
    # A label that changed is a flip however small the change, and a tie is one, too.
    there[:] = 0.5 - STEP / 2, 0.5 + STEP / 2
    for near in ((0.5 + STEP / 2, 0.5 - STEP / 2), (0.5, 0.5)):
        here = there.copy()
        here[4] = near
        found = replay(here, there, quantization="int8", output_scale=STEP)
        assert (found.verdict, found.flips) == ("flips", 1)


@pytest.mark.parametrize(
    ("off", "images", "quantization", "scale", "verdict"),
    [
        (0.0, 0, "int8", STEP, "identical"),
        # One step of a quantized output is rounding, and two are not.
        *((steps * STEP, 1, "int8", STEP, "rounding") for steps in (1, 1.4)),
        *((steps * STEP, 1, "int8", STEP, "drift") for steps in (1.6, 2)),
        (0.99e-5, 50, "float32", None, "rounding"),
        (1.01e-5, 50, "float32", None, "drift"),
        # What int4 really did between x86 and the emulated Pi 5: one image, by one step of a hidden activation.
        *((1.1e-4, 1, one, None, "rounding") for one in ("int4", "dynamic", "int8")),
        *((4.9e-3, 10, one, None, "rounding") for one in ("int4", "dynamic")),
        *((5.1e-3, 10, one, None, "drift") for one in ("int4", "dynamic")),
        (4.9e-3, 11, "int4", None, "drift"),
        # Without quantized activations there is no such step.
        *((1.1e-4, 1, one, None, "drift") for one in ("float16", "float32")),
    ],
)
def test_each_verdict_of_replays(off: float, images: int, quantization: str, scale: float | None, verdict: str) -> None:
    there = np.tile(np.array([[0.0, 0.9]], np.float32), (10_000, 1))
    here = there.copy()
    here[:images, 0] = off
    found = replay(here, there, quantization=quantization, output_scale=scale)
    assert (found.verdict, found.differing, found.flips) == (verdict, images, 0)
    assert found.beyond_rounding == (images if verdict == "drift" else 0)
    assert found.max_steps == (None if scale is None else round(off / scale))
