"""The golden pack comes back as it was written, or not at all."""

import contextlib
import io
import json
import shutil
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.digits.training import RECIPES
from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import INPUT_RANGES, InputSpec, range_ends
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.storage import sha256, write_file
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import (
    ANSWERS_FILE,
    GoldenPack,
    answer_all,
    answers_of_export,
    decode_answers,
    decode_golden,
    encode_answers,
    read_answers,
    read_golden,
)
from edgemnist.model.exports.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    FileRecord,
    GoldenRecord,
    Manifest,
    read_manifest,
)
from edgemnist.model.runtimes.pixels import Numbers, quantize_pixels
from edgemnist.model.task import default_task
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import Recipe, digest
from edgemnist.pipeline.verify.run import verify
from tests.conftest import MADE_EXPORTS, MAKING_EXPORTS, OLD_EXPORTS, Run, allocates_less_than, run_edgemnist
from tests.notices import Notices


def pack(count: int = 20, classes: int = 10) -> GoldenPack:
    rng = np.random.default_rng(0)
    scores = rng.random((count, classes), dtype=np.float32)
    return GoldenPack(
        images=rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
        truth=rng.integers(0, classes, count),
        probabilities=scores / scores.sum(axis=1, keepdims=True),
        class_labels=tuple(f"class {index}" for index in range(classes)),
        data=DataIdentity(source="noise", train=1, test=count, sha256=sha256(b"data"), reduced=True),
        model_sha256=sha256(b"model"),
    )


def golden_record(data: bytes) -> GoldenRecord:
    return GoldenRecord(
        file=GOLDEN_FILE, bytes=len(data), sha256=sha256(data), images=20, model_sha256=pack().model_sha256
    )


def recorded(directory: Path, golden: GoldenPack) -> Manifest:
    """Write a pack into a directory, and return the manifest that records it."""
    data = golden.encode()
    write_file(directory / GOLDEN_FILE, data)
    return Manifest(labels=[], golden=golden_record(data))


@pytest.mark.parametrize(("count", "classes"), [(20, 10), (0, 10), (1, 300)])
def test_a_pack_is_read_as_it_was_written(count: int, classes: int) -> None:
    written = pack(count, classes)
    read = decode_golden(written.encode())
    for name in ("images", "labels", "probabilities"):
        before, after = getattr(written, name), getattr(read, name)
        assert after.dtype == before.dtype
        np.testing.assert_array_equal(after, before)
    for name in ("class_labels", "data", "model_sha256"):
        assert getattr(read, name) == getattr(written, name)


def test_images_that_are_cut_short_are_an_error_and_not_fewer_images() -> None:
    stream = io.BytesIO()
    with np.load(io.BytesIO(pack().encode())) as arrays, zipfile.ZipFile(stream, "w") as file:
        for name in arrays.files:
            data = arrays.zip.read(f"{name}.npy")
            file.writestr(f"{name}.npy", data[:-1] if name == "images" else data)
    with pytest.raises(ArtifactError, match="damaged"):
        decode_golden(stream.getvalue())


@pytest.mark.all
def test_the_same_pack_gives_the_same_bytes_at_another_time() -> None:
    first = pack().encode()
    time.sleep(2.1)  # The times within a zip file have a step of two seconds.
    assert pack().encode() == first


def test_a_damaged_pack_is_a_clear_error_whichever_byte_is_wrong() -> None:
    whole = pack().encode()
    read = 0
    for position in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        # The zip format has bytes that mean nothing, such as times.
        with contextlib.suppress(ArtifactError):
            decode_golden(bytes(damaged))
            read += 1
    assert read < len(whole) / 37 / 10
    for end in range(0, len(whole), 97):
        with pytest.raises(ArtifactError, match="damaged"):
            decode_golden(whole[:end])


def changed(**arrays: Any) -> bytes:
    """Return a pack in which some arrays are others, or missing (None)."""
    with np.load(io.BytesIO(pack().encode())) as whole:
        contents = {**whole, **arrays}
    stream = io.BytesIO()
    np.savez(stream, **{name: value for name, value in contents.items() if value is not None})
    return stream.getvalue()


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.zeros(19, dtype=np.int64)},
        {"labels": np.full(20, 10)},
        {"labels": np.full(20, -1)},
        {"labels": np.int64(3)},
        {"images": np.zeros((20, 28, 28), dtype=np.float32)},
        {"images": np.zeros((20, 784), dtype=np.uint8)},
        {"probabilities": np.zeros((20, 10))},
        {"probabilities": np.zeros((20, 9), dtype=np.float32)},
        {"class_labels": np.array(["0"])},
        {"data": np.frombuffer(b"{}", dtype=np.uint8)},
        {"labels": np.array([{"pickled": True}])},
    ],
    ids=str,
)
def test_a_pack_that_does_not_fit_together_is_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        decode_golden(changed(**arrays))


@pytest.mark.parametrize("name", ["labels", "answers"])
def test_a_small_archive_with_gigabytes_in_it_is_refused_unread(name: str) -> None:
    stream = io.BytesIO(changed(labels=None) if name == "labels" else b"")
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<i8", "fortran_order": False, "shape": (1 << 25,)})
        for _ in range(256):
            member.write(bytes(1 << 20))
    data = stream.getvalue()
    assert len(data) < 1 << 20
    read = partial(decode_golden, data) if name == "labels" else partial(decode_answers, io.BytesIO(data))
    with allocates_less_than(8 << 20), pytest.raises(ArtifactError, match="damaged: its arrays take more than 256 MB"):
        read()


def test_a_pack_is_read_only_if_it_is_the_recorded_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no golden pack"):
        read_golden(tmp_path, Manifest(labels=[]))
    manifest = recorded(tmp_path, pack())
    assert read_golden(tmp_path, manifest).model_sha256 == pack().model_sha256
    write_file(tmp_path / GOLDEN_FILE, pack(19).encode())
    with pytest.raises(ArtifactError, match="manifest"):
        read_golden(tmp_path, manifest)


def with_answers(exports: Path, name: str = "tflite-int8") -> Manifest:
    """Answer for one artifact as an export does, and record it."""
    manifest = read_manifest(exports)
    artifact = manifest.artifact(name)
    made = {artifact.file: (exports / artifact.file).read_bytes()}
    data = answers_of_export(exports, manifest, manifest, made, read_golden(exports, manifest).images)
    (exports / "answers.npz").write_bytes(data)
    manifest = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, data))
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
    changed = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, data))
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


def test_damaged_answers_of_other_artifacts_are_dropped_with_a_notice(exports: Path) -> None:
    manifest, told = with_answers(exports), Notices()
    images = read_golden(exports, manifest).images
    kept = {one.file: (exports / one.file).read_bytes() for one in manifest.artifacts}
    (exports / ANSWERS_FILE).write_bytes(b"nonsense")
    data = answers_of_export(exports, manifest, manifest, {}, images, reporter=told)
    assert decode_answers(io.BytesIO(data)) == {}
    (notice,) = told.messages
    assert notice.startswith(f"{exports / ANSWERS_FILE} has 8 bytes where the manifest says")
    assert "tflite-int8" in notice
    assert notice.endswith(f"run: edgemnist export --exports {exports}")
    # An export that makes all of them again loses nothing.
    few = msgspec.structs.replace(manifest, artifacts=[manifest.artifact("tflite-int8")])
    answers_of_export(exports, few, few, kept, images[:2], reporter=told)
    assert len(told.messages) == 1


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
    manifest = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, data))
    with pytest.raises(ArtifactError, match=r"answers\.npz is damaged: it has .* for 1,000 images and 10 classes"):
        read_answers(exports, manifest)


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


VERSIONS = {"baseline": "bc5eea36f818b575", "standard": "1777e14d77ca5995", "best": "06a49db7212dc582"}
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
    for words in (["predict", "--index", "0"], ["report", "--markdown", "--output", "r.md"], ["verify"]):
        done = edgemnist(*words, "--exports", old_exports)
        assert (done.returncode, done.stderr) == (0, ""), words
