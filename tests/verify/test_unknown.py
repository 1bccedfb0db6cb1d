"""What is not known has not passed: other evaluation images, too few, no runtime, a reference that proves nothing."""

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.fleet.bundle.pack import BundleConfig, make_bundle
from edgemnist.ground.progress import Task
from edgemnist.ground.results.verdict import COMMAND_LINE, FEWEST_IMAGES, MISSED, OR_FEWER, PASSED, UNKNOWN, judge
from edgemnist.model.exports import LIMITS_FILE, REPOSITORY_FILE, Exports
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.native import library
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.pipeline.export.run import _answered
from edgemnist.pipeline.search.limits import Costs, Limits
from edgemnist.pipeline.verify.files import Evaluation, verify_files
from edgemnist.pipeline.verify.gate import GATES, GateTable, gates_of, measurements, most_lost
from edgemnist.pipeline.verify.parity import ask, compare
from edgemnist.pipeline.verify.run import keep_verdict, verify
from edgemnist.selftest import self_test
from tests.exports.test_directory import without_runtimes
from tests.messages import Told
from tests.notices import Notices
from tests.verify.damage import damage_artifact, edit_manifest, first, with_golden
from tests.verify.gates import golden_of, missed
from tests.verify.test_gate import PERFECT
from tests.verify.test_parity import ByCall

INT8, FLOAT, ONNX = "tflite-int8", "tflite-float32", "onnx-float32"
replaced = msgspec.structs.replace


def kept(directory: Path) -> Exports:
    """Verify all of a directory, keep the verdict, and return the directory opened again."""
    opened = Exports.open(directory)
    keep_verdict(opened, verify(opened))
    return Exports.open(directory)


def test_a_reference_without_a_number_or_an_image_is_no_reference(old_exports: Path) -> None:
    def without_a_number(pack: GoldenPack) -> GoldenPack:
        probabilities = pack.probabilities.copy()
        probabilities[7, 3] = np.nan
        return replace(pack, probabilities=probabilities)

    numbers = "The Keras model answers 1 of 200 inputs with numbers that are not finite"
    for change, said in ((without_a_number, numbers), (first(0), "no images")):
        with pytest.raises(ArtifactError, match=said):
            verify(with_golden(shutil.copytree(old_exports, old_exports.parent / said), change), [INT8])


def test_no_golden_pack_is_made_of_answers_that_are_no_numbers() -> None:
    def answers(images: np.ndarray) -> np.ndarray:
        found = np.full((len(images), 10), 0.1, np.float32)
        found[0, 0] = np.inf
        return found

    asked = SimpleNamespace(images=np.zeros((50, 28, 28), np.uint8))
    with pytest.raises(ArtifactError, match="answers 1 of 50 inputs with numbers that are not finite"):
        _answered(cast("Any", SimpleNamespace(answer=answers)), cast("Any", asked))


def test_a_verdict_does_not_outlive_its_golden_pack(old_exports: Path) -> None:
    assert kept(old_exports).findings.is_verified(INT8)
    opened = with_golden(old_exports, lambda pack: replace(pack, truth=pack.labels[::-1].copy()))
    assert not opened.findings.is_verified(INT8)
    row = opened.findings.verify
    assert row is not None
    assert row.reason.endswith(
        f"judged before a change of the evaluation images: run edgemnist verify --exports {old_exports}"
    )
    assert {one.verdict.outcome for one in row.result.artifacts} == {UNKNOWN}
    assert not opened.best().verified


@pytest.mark.parametrize(("images", "outcome"), [(FEWEST_IMAGES - 1, UNKNOWN), (FEWEST_IMAGES, PASSED)])
def test_on_too_few_images_nothing_is_known(images: int, outcome: str, old_exports: Path) -> None:
    result = verify(with_golden(old_exports, first(images)), [FLOAT])
    assert (result.verdict.outcome, result.passed) == (outcome, outcome == PASSED)
    few = [f"{FLOAT}: only 199 images, and 200 are needed to judge; {OR_FEWER}"]
    assert result.verdict.reasons == (few if outcome == UNKNOWN else [])


@pytest.mark.parametrize("labelled", [True, False])
def test_on_too_few_images_only_what_a_person_limits_is_missed(labelled: bool) -> None:  # noqa: FBT001 - a parameter
    for images, outcome in ((60, UNKNOWN), (FEWEST_IMAGES - 1, UNKNOWN), (FEWEST_IMAGES, MISSED)):
        bad = replace(PERFECT, images=images, correct=images - 40 if labelled else 0, flips=40, max_abs_diff=0.9)
        bad = replace(bad, labelled=labelled)
        assert judge(measurements(GATES["int8"], bad)).outcome == outcome
        assert judge(measurements(GATES["int8"].given({"max_abs_diff": 0.5}, COMMAND_LINE), bad)).outcome == MISSED
        assert judge(measurements(GATES["int8"], replace(bad, unanswered=1))).outcome == MISSED
    few = judge(measurements(GATES["int8"], replace(PERFECT, images=60, correct=60, flips=40))).reasons
    assert any("40 labels changed" in reason for reason in few)
    assert any("only 60 images" in reason for reason in few)


def test_a_person_may_ask_for_more_or_fewer_images(old_exports: Path) -> None:
    for least, outcome in ((201, UNKNOWN), (200, PASSED), (1, PASSED)):
        (old_exports / LIMITS_FILE).write_text(f"[float32]\nmin_images = {least}\n")
        (found,) = verify(Exports.open(old_exports), [FLOAT]).artifacts
        assert found.verdict.outcome == outcome
        assert [one.origin for one in found.verdict.limits if one.name == "min_images"] == ["gate file"]


@pytest.mark.parametrize(("images", "most"), [(5, 0), (100, 1), (200, 2), (299, 2), (300, 3), (10_000, 20)])
def test_chance_allows_one_image_in_a_hundred_at_most(images: int, most: int) -> None:
    few = replace(PERFECT, images=images, correct=images)
    assert most_lost(GATES["int8"], few) == most
    gate = GATES["int8"].given({"max_drop_points": 40}, COMMAND_LINE)
    assert most_lost(gate, few) == images * 4 // 10


def test_without_its_runtime_nothing_is_verified(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_runtimes(monkeypatch, "onnxruntime")
    result = verify(Exports.open(old_exports))
    assert (result.passed, result.verdict.outcome) == (False, UNKNOWN)
    (absent,) = result.unusable
    assert (absent.name, absent.status) == (ONNX, "not run")
    assert absent.reason.startswith("it needs a-package, another (pip install")
    assert result.verdict.reasons == [f"{ONNX}: {absent.reason}"]


@pytest.mark.needs("engine")
def test_an_engine_of_another_version_is_told_of(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("native library" in one for one in verify(Exports.open(old_exports)).warnings)
    library.open_library.cache_clear()
    monkeypatch.setattr(library, "ABI", library.ABI + 1)
    try:
        (warning,) = verify(Exports.open(old_exports)).warnings[-1:]
    finally:
        library.open_library.cache_clear()
    assert "is of another version" in warning
    assert "so nothing was verified in it. Compile it again with" in warning


def test_limits_of_the_command_line_answer_a_question_and_are_not_kept(old_exports: Path) -> None:
    before = (kept(old_exports).directory / "verify.json").read_bytes()
    opened, notices = Exports.open(old_exports), Notices()
    keep_verdict(opened, verify(opened, gates=GateTable(options={"max_abs_diff": 1.0})), notices)
    assert (old_exports / "verify.json").read_bytes() == before
    (said,) = notices.messages
    assert said.startswith("The verdict under these limits is not saved.")
    assert said.endswith(f"write them to {old_exports / LIMITS_FILE}.")


def test_the_gate_of_a_directory_holds_for_everybody(old_exports: Path) -> None:
    assert kept(old_exports).findings.is_verified(INT8)
    (old_exports / LIMITS_FILE).write_text("[tflite-int8]\nmax_abs_diff = 0.0\n")
    # Other limits are another question.
    assert not Exports.open(old_exports).findings.is_verified(INT8)
    row = kept(old_exports).findings.parity(INT8)
    assert row is not None
    assert row.verdict.outcome == MISSED
    assert "max_abs_diff" in [one.name for one in row.verdict.limits if one.origin == "gate file"]
    assert not self_test(old_exports).passed


def test_the_file_of_a_repository_is_the_gate_of_a_directory_of_its_bundle_and_of_a_search(
    old_exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.chdir(tmp_path)
    for most in (9_168, 9_167):
        Path(REPOSITORY_FILE).write_text(f"[all]\nmax_bytes = {most}\nmax_slowdown = 1.5\n")
        # What was verified under other limits does not count.
        assert Exports.open(old_exports).findings.parity(INT8) is None
        assert kept(old_exports).findings.is_verified(INT8) == (most == 9_168)
    make_bundle(Exports.open(old_exports), tmp_path / "bundle.zip", BundleConfig(artifacts=(INT8,)))
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert bundle.read(f"exports/{LIMITS_FILE}") == Path(REPOSITORY_FILE).read_bytes()
    assert (gates_of(None).max_slowdown, "max_slowdown" in gates_of(None).of(INT8, "int8").limits) == (1.5, False)
    asked = Limits(bytes=20_000, accuracy=0.95).within(gates_of(None))
    assert asked == Limits(bytes=9_167, accuracy=0.95, filed=frozenset({"bytes"}))
    costs = Costs(bytes=9_168, ram_bytes=1, multiplications=1)
    assert ([one.name for one in asked.measurements(costs, 1.0)], asked.allow(costs)) == (["accuracy"], False)
    (old_exports / LIMITS_FILE).touch()
    with told():
        verify(Exports.open(old_exports), [INT8])


def test_limits_that_cannot_be_read_are_not_taken_for_none(old_exports: Path, tmp_path: Path) -> None:
    kept(old_exports)
    made: dict[str, Callable[[Path], None]] = {"directory": Path.mkdir, "link": lambda path: path.symlink_to("gone")}
    for kind, make in made.items():
        make(old_exports / LIMITS_FILE)
        opened = Exports.open(old_exports)
        assert not opened.findings.is_verified(INT8)
        with pytest.raises(UsageError, match=r"gate\.toml cannot be read: "):
            verify(opened, [INT8])
        with pytest.raises(UsageError, match=r"gate\.toml cannot be read: "):
            make_bundle(opened, tmp_path / "bundle.zip", BundleConfig(artifacts=(INT8,)))
        os.rename(old_exports / LIMITS_FILE, tmp_path / kind)  # noqa: PTH104 - a link moves, and not its target


def test_a_file_that_lost_its_softmax_is_another_model(old_exports: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(old_exports / "onnx-float32.onnx")
    last = model.graph.node[-1]
    assert last.op_type == "Softmax"
    model.graph.node.remove(last)
    model.graph.output[0].name = last.input[0]
    for name in ("whole", "bare"):
        onnx.save(onnx.load(old_exports / "onnx-float32.onnx") if name == "whole" else model, tmp_path / f"{name}.onnx")
    pack = Exports.open(old_exports).read_golden()
    evaluation = Evaluation(images=pack.images, labels=pack.labels, class_labels=pack.class_labels, identity=pack.data)
    whole, bare = (tmp_path / f"{name}.onnx" for name in ("whole", "bare"))

    def outcome(reference: Path, file: Path) -> tuple[str, list[str]]:
        (found,) = verify_files(str(reference), [str(file)], evaluation).artifacts
        return found.verdict.outcome, found.reasons

    assert outcome(whole, whole) == outcome(bare, bare) == (PASSED, [])
    assert outcome(whole, bare) == (
        MISSED, ["it answers with logits where the reference answers with probabilities: its softmax is missing"]
    )  # fmt: skip


def test_a_board_that_cannot_compare_its_answers_has_not_passed(old_exports: Path) -> None:
    assert self_test(old_exports).passed
    edit_manifest(old_exports, lambda one: replaced(one, answers=None))
    found = self_test(old_exports)
    assert (found.passed, found.verdict.outcome) == (False, UNKNOWN)
    assert found.reasons[0] == (
        f"{INT8} on this board: what it answered on the exporting machine is not recorded, "
        "so nobody knows whether it answers the same"
    )


def test_copies_of_a_picture_prove_nothing(old_exports: Path) -> None:
    def copied(pack: GoldenPack) -> GoldenPack:
        same = np.zeros(len(pack.labels), np.int64)
        return replace(pack, images=pack.images[same], truth=pack.labels[same], probabilities=pack.probabilities[same])

    verified = verify(with_golden(old_exports, copied), [FLOAT])
    assert verified.verdict.outcome == UNKNOWN
    assert verified.verdict.reasons[-1].endswith("proves nothing: the 200 evaluation images are copies of 1 picture")


def test_parity_with_a_model_that_only_guesses_proves_nothing(old_exports: Path) -> None:
    shuffled = np.random.default_rng(0)
    result = verify(
        with_golden(old_exports, lambda pack: replace(pack, truth=shuffled.permutation(pack.labels))), [FLOAT]
    )
    assert (result.passed, result.verdict.outcome) == (False, UNKNOWN)
    assert "hardly better than guessing" in result.verdict.reasons[0]


def test_a_file_that_takes_one_image_has_no_batches_to_compare() -> None:
    pack = golden_of(np.full((3, 2), 0.5, np.float32))
    classifier = ByCall()
    classifier.fixed_batch = 1
    answers = ask(cast("Classifier", classifier), pack, Task())
    assert answers.batched is None
    found = compare(pack.probabilities, pack.labels, answers.single, None)
    names = {one.name for one in measurements(GATES["int8"], found)}
    assert {"max_batch_diff", "max_batch_flips_percent"}.isdisjoint(names)
    assert "max_abs_diff" in names
    assert missed(GATES["float32"], replace(PERFECT, batches=False, max_batch_diff=1.0)) == []
    assert judge(measurements(GATES["float32"], PERFECT)).passed


def test_a_directory_of_another_machine_is_verified_again(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept(old_exports).findings.is_verified(INT8)
    for name, value in (("machine_identity", lambda: "a Pi"), ("__version__", "9.9"), ("version_of", lambda _: "9.9")):
        with monkeypatch.context() as patch:
            patch.setattr(f"edgemnist.model.exports.{name}", value)
            assert not Exports.open(old_exports).findings.is_verified(INT8), name
    assert Exports.open(shutil.copytree(old_exports, old_exports.parent / "copy")).findings.is_verified(INT8)


def test_damaged_onnx_is_missed_and_not_unknown(old_exports: Path) -> None:
    damage_artifact(old_exports, ONNX, lambda data: data[:100])
    assert verify(Exports.open(old_exports)).verdict.outcome == MISSED
