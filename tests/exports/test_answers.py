"""The exporting machine's answers, and how far a machine may be from them."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.exports import Exports
from edgemnist.exports.golden import (
    ANSWERS_FILE,
    answer_all,
    answers_of_export,
    decode_answers,
    encode_answers,
    read_answers,
    read_golden,
)
from edgemnist.exports.manifest import MANIFEST_FILE, Manifest, read_manifest, record_of
from edgemnist.results.verify import Replay
from edgemnist.storage import sha256
from edgemnist.verify.gate import gate_for
from edgemnist.verify.run import verify
from edgemnist.verify.vote import missed_replay, replay

STEP = 1 / 256


def probabilities(images: int = 100) -> np.ndarray:
    rows = np.full((images, 10), 5 * STEP, dtype=np.float32)
    rows[:, 3] = 1 - 9 * 5 * STEP
    return rows


def replay_int8(here: np.ndarray, there: np.ndarray) -> Replay:
    return replay(here, there, quantization="int8", output_scale=STEP)


def test_the_same_answers_are_identical() -> None:
    found = replay_int8(probabilities(), probabilities())
    assert (found.verdict, found.differing, found.flips, found.max_steps) == ("identical", 0, 0, 0)


def test_one_step_is_rounding_and_two_are_drift() -> None:
    here = probabilities()
    here[7, 3] -= STEP
    assert replay_int8(here, probabilities()).verdict == "rounding"
    assert replay_int8(here, probabilities()).max_steps == 1
    here[7, 3] -= STEP
    found = replay_int8(here, probabilities())
    assert (found.verdict, found.max_steps, found.beyond_rounding, found.flips) == ("drift", 2, 1, 0)


def test_a_label_that_changed_is_a_flip_however_small_the_change() -> None:
    here, there = probabilities(), probabilities()
    there[4, 2:4] = [0.5 - STEP / 2, 0.5 + STEP / 2]
    here[4, 2:4] = [0.5 + STEP / 2, 0.5 - STEP / 2]
    found = replay_int8(here, there)
    assert (found.verdict, found.flips, found.max_steps) == ("flips", 1, 1)
    # Where both are equally likely here, neither machine is wrong.
    here[4, 2:4] = 0.5
    assert replay_int8(here, there).flips == 0


def test_float_noise_is_rounding_and_more_is_drift() -> None:
    here = probabilities() + np.float32(4e-6)
    assert replay(here, probabilities(), quantization="float32").verdict == "rounding"
    assert replay(here + np.float32(1e-4), probabilities(), quantization="float32").verdict == "drift"
    assert replay(here, probabilities(), quantization="float32").max_steps is None


def moved(images: int, by: float, of: int = 1000) -> np.ndarray:
    """Answers of which the first `images` differ from `probabilities()` by this much."""
    here = probabilities(of)
    here[:images, 3] -= np.float32(by)
    here[:images, 4] += np.float32(by)
    return here


@pytest.mark.parametrize("quantization", ["int4", "dynamic", "int8"])
def test_one_activation_rounded_to_its_other_side_is_rounding(quantization: str) -> None:
    # What int4 really did between x86 and the emulated Pi 5: one image of 10,000, by 1.1e-4.
    found = replay(moved(1, 1.1e-4, 10_000), probabilities(10_000), quantization=quantization)
    assert (found.verdict, found.beyond_rounding, found.differing) == ("rounding", 0, 2)
    assert replay(moved(1, 4e-3), probabilities(1000), quantization=quantization).verdict == "rounding"
    assert replay(moved(1, 1.1e-4, 32), probabilities(32), quantization=quantization).verdict == "rounding"
    found = replay(moved(1, 6e-3), probabilities(1000), quantization=quantization)
    assert (found.verdict, found.beyond_rounding) == ("drift", 2), "more than one step"
    found = replay(moved(20, 1.1e-4), probabilities(1000), quantization=quantization)
    assert (found.verdict, found.beyond_rounding) == ("drift", 40), "too many images for chance"


@pytest.mark.parametrize("quantization", ["float32", "float16"])
def test_without_quantized_activations_there_is_no_step(quantization: str) -> None:
    found = replay(moved(1, 1.1e-4), probabilities(1000), quantization=quantization)
    assert (found.verdict, found.beyond_rounding) == ("drift", 2)


def test_an_answer_that_is_no_number_is_no_rounding() -> None:
    here = probabilities()
    here[0, 0] = np.nan
    assert replay_int8(here, probabilities()).verdict in {"drift", "flips"}
    assert "are not numbers" in missed_replay(gate_for("int8"), replay_int8(here, probabilities()))[-1]


def test_the_gate_lets_rounding_pass_and_no_more() -> None:
    here = probabilities(1000)
    here[7, 3] -= STEP
    assert missed_replay(gate_for("int8"), replay_int8(here, probabilities(1000))) == []
    here[7, 3] -= 3 * STEP
    assert "exporting machine" in missed_replay(gate_for("int8"), replay_int8(here, probabilities(1000)))[0]
    flipped = np.roll(probabilities(1000), 1, axis=1)
    assert "labels differ" in missed_replay(gate_for("int8"), replay_int8(flipped, probabilities(1000)))[0]


def with_answers(exports: Path, name: str = "tflite-int8") -> Manifest:
    """Answer for one artifact as an export does, and record it."""
    manifest = read_manifest(exports)
    artifact = manifest.artifact(name)
    made = {artifact.file: (exports / artifact.file).read_bytes()}
    data = answers_of_export(exports, manifest, manifest, made, read_golden(exports, manifest).images)
    (exports / "answers.npz").write_bytes(data)
    manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, data))
    (exports / MANIFEST_FILE).write_bytes(manifest.encode())
    return manifest


def test_verify_replays_what_the_exporting_machine_answered(exports: Path) -> None:
    manifest = with_answers(exports)
    assert [one.replay.verdict for one in verify(Exports.open(exports), ["tflite-int8"]).artifacts if one.replay] == [
        "identical"
    ]
    answers = dict(read_answers(exports, manifest))
    sha256 = manifest.artifact("tflite-int8").sha256
    answers[sha256] = np.roll(answers[sha256], 1, axis=0)
    data = encode_answers(answers)
    (exports / "answers.npz").write_bytes(data)
    changed = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, data))
    (exports / MANIFEST_FILE).write_bytes(changed.encode())
    result = verify(Exports.open(exports), ["tflite-int8"])
    assert not result.passed
    assert "exporting machine" in result.artifacts[0].reasons[0]


def test_an_export_of_one_artifact_keeps_the_answers_of_the_others(exports: Path) -> None:
    both = {one.sha256 for one in (with_answers(exports).artifact("tflite-int8"),)}
    manifest = with_answers(exports, "tflite-dynamic")
    both.add(manifest.artifact("tflite-dynamic").sha256)
    assert both <= set(read_answers(exports, manifest))
    other = msgspec.structs.replace(manifest, golden=None)
    data = answers_of_export(exports, manifest, other, {}, read_golden(exports, manifest).images)
    assert decode_answers(io.BytesIO(data)) == {}


def test_the_same_answers_give_the_same_bytes_and_damaged_ones_are_refused(exports: Path) -> None:
    manifest = read_manifest(exports)
    images = read_golden(exports, manifest).images[:50]
    answers = answer_all(exports, [manifest.artifact("tflite-int8")], images)
    assert encode_answers(answers) == encode_answers(dict(reversed(list(answers.items()))))
    with pytest.raises(ArtifactError, match="damaged"):
        decode_answers(io.BytesIO(encode_answers(answers)[:-30]))
    objects = io.BytesIO()
    np.savez(objects, x=np.array([{}], dtype=object))
    for data in (b"nonsense", objects.getvalue()):
        # NumPy's own words say how to load a pickle unsafely.
        with pytest.raises(ArtifactError, match=r"answers\.npz is damaged: it holds no arrays of numbers"):
            decode_answers(io.BytesIO(data))


@pytest.mark.parametrize("name", ["golden", "answers"])
def test_damage_is_told_with_the_command_for_its_directory(name: str, exports: Path, tmp_path: Path) -> None:
    directory = exports.rename(tmp_path / "my exports")
    manifest = read_manifest(directory)
    record = getattr(manifest, name)
    data = b"PK nonsense"
    (directory / record.file).write_bytes(data)
    changed = msgspec.structs.replace(record, bytes=len(data), sha256=sha256(data))
    manifest = msgspec.structs.replace(manifest, **{name: changed})
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        (read_golden if name == "golden" else read_answers)(directory, manifest)
    assert caught.value.hint == f"Write it again with: edgemnist export --exports '{directory}'"


@pytest.mark.parametrize("spoilt", [np.zeros((3, 10), np.float32), np.zeros((1000, 10), np.float64), np.array(["x"])])
def test_answers_that_are_not_those_to_the_golden_pack_are_damage(spoilt: np.ndarray, exports: Path) -> None:
    manifest = read_manifest(exports)
    data = encode_answers({manifest.artifact("tflite-int8").sha256: spoilt})
    (exports / ANSWERS_FILE).write_bytes(data)
    manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, data))
    with pytest.raises(ArtifactError, match=r"answers\.npz is damaged: it has .* for 1,000 images and 10 classes"):
        read_answers(exports, manifest)
