"""What is proved of models of every shape: classes by their labels, numbers by their values, files by themselves."""

import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN
from edgemnist.model.exports import Exports
from edgemnist.model.exports.choose import choose
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.manifest import GOLDEN_FILE, MANIFEST_FILE, FileRecord
from edgemnist.model.exports.questions import IMAGES_FILE, encode_training_images
from edgemnist.pipeline.bench.run import BenchConfig, choose_models
from edgemnist.pipeline.report.page import html_page, markdown_page, read_report_data, rows
from edgemnist.pipeline.verify.files import Evaluation, evaluation_for, verify_alone, verify_files
from edgemnist.pipeline.verify.gate import GateTable, read_gates
from edgemnist.pipeline.verify.parity import compare
from edgemnist.pipeline.verify.run import verify
from tests.conftest import Run
from tests.notices import Notices
from tests.shapes import SPECS
from tests.shapes.made import make_exports, weights, write

EACH = pytest.mark.parametrize("name", SPECS)
PROMISED = ("accuracy", "accuracy_drop_points", "agreement", "mcnemar_p", "significant_loss", "ece")


def repacked(exports: Exports, pack: GoldenPack) -> Exports:
    """Give an export directory another golden pack."""
    (exports.directory / GOLDEN_FILE).write_bytes(data := pack.encode())
    assert exports.manifest.golden is not None
    golden = msgspec.structs.replace(
        exports.manifest.golden, **msgspec.structs.asdict(FileRecord.of(GOLDEN_FILE, data)), images=len(pack)
    )
    manifest = msgspec.structs.replace(exports.manifest, golden=golden)
    (exports.directory / MANIFEST_FILE).write_bytes(manifest.encode())
    return Exports.open(exports.directory)


@EACH
def test_classes_of_every_shape_pass_by_their_labels_and_a_loss_is_told(name: str, tmp_path: Path) -> None:
    exports = make_exports(tmp_path, name)
    for one in verify(exports).artifacts:
        assert (one.verdict.outcome, one.accuracy, one.flips, one.answers) == (PASSED, 1, 0, "classes"), one.name
    pack = exports.read_golden()
    spoilt = repacked(exports, replace(pack, probabilities=np.roll(pack.probabilities, 1, axis=1)))
    for one in verify(spoilt).artifacts:
        assert (one.verdict.outcome, one.agreement) == (MISSED, 0)


@EACH
def test_without_labels_flips_still_count_and_nothing_is_said_of_accuracy(name: str, tmp_path: Path) -> None:
    exports = make_exports(tmp_path, name)
    exports = repacked(exports, replace(exports.read_golden(), truth=None))
    result = verify(exports)
    assert (result.passed, result.reference_accuracy) == (True, None)
    assert "nothing is said about accuracy" in result.warnings[0]
    (one, *_) = result.artifacts
    assert [getattr(one, figure) for figure in PROMISED] == [None, None, 1.0, None, None, None]
    assert "max_drop_points" not in {limit.name for limit in one.verdict.limits}
    # A person's limit on what nobody knows has not been met.
    (asked, *_) = verify(exports, gates=GateTable(options={"max_drop_points": 1.0})).artifacts
    assert asked.verdict.outcome == UNKNOWN
    assert "nobody has said the labels" in asked.reasons[0]
    pack = exports.read_golden()
    spoilt = repacked(exports, replace(pack, probabilities=np.roll(pack.probabilities, 1, axis=1)))
    (missed, *_) = verify(spoilt).artifacts
    assert missed.verdict.outcome == MISSED
    assert {(flip.label, flip.kind) for flip in missed.flipped} == {(None, "changed")}


@EACH
def test_numbers_pass_by_their_values_and_nothing_is_said_of_labels(name: str, tmp_path: Path) -> None:
    exports = make_exports(tmp_path, name, numbers=True)
    result = verify(exports)
    assert (result.passed, result.reference_accuracy, result.vote) == (True, None, None)
    for one in result.artifacts:
        assert [getattr(one, figure) for figure in PROMISED] == [None] * 6
        assert one.answers == "numbers"
        assert one.values is not None
        assert one.values.largest < 1e-3
        assert not {"max_flips_percent", "max_drop_points", "max_abs_diff"} & one.gate.keys()
        assert {"max_value_diff", "max_value_mean_diff"} <= one.gate.keys()
    assert exports.findings.save_verification(result)
    pack = exports.read_golden()
    beyond = 2e-3 * float(np.sqrt(pack.probabilities.var(axis=0).mean()))
    (missed, *_) = verify(
        repacked(exports, replace(pack, probabilities=pack.probabilities + np.float32(beyond)))
    ).artifacts
    assert missed.verdict.outcome == MISSED
    assert "times the spread" in missed.reasons[0]


def test_what_is_no_number_misses_and_few_inputs_are_unknown(tmp_path: Path) -> None:
    reference = np.random.default_rng(0).normal(5, 2, (300, 3)).astype(np.float32)
    broken = reference.copy()
    broken[7, 1] = np.nan
    found = compare(reference, None, broken, None, numbers=True)
    assert (found.unanswered, found.batches) == (1, False)
    assert found.values is not None
    assert found.values.differing == pytest.approx(1 / 900)
    assert found.values.largest > 1
    # Outputs of different sizes have no spread between them.
    offset = np.array([0, 1000, 0], np.float32)
    apart = compare(reference + offset, None, reference + offset + np.float32(1), None, numbers=True)
    assert apart.values is not None
    assert apart.values.spread == pytest.approx(2, rel=0.1)
    few = verify(make_exports(tmp_path, "row", numbers=True, images=199)).artifacts
    assert {one.verdict.outcome for one in few} == {UNKNOWN}
    assert "only 199 rows, and 200 are needed" in few[0].reasons[0]


def test_keras_is_timed_with_what_its_task_reads_and_only_where_the_source_is_a_keras_model(tmp_path: Path) -> None:
    notices, exports = Notices(), make_exports(tmp_path, "row")
    assert "keras" not in {one.name for one in choose_models(exports, None, BenchConfig(), notices)}
    assert notices.messages == [f"Keras is not measured: {tmp_path} has no Keras model."]
    (tmp_path / "model.onnx").rename(tmp_path / "model.keras")
    manifest = (tmp_path / MANIFEST_FILE).read_text().replace("model.onnx", "model.keras")
    (tmp_path / MANIFEST_FILE).write_text(manifest)
    (keras,) = choose_models(Exports.open(tmp_path), ["keras"], BenchConfig())
    assert keras.spec == SPECS["row"]


@pytest.mark.parametrize(
    ("numbers", "limit", "expected"),
    [
        (True, "max_flips_percent", "limit for classes, and onnx-float32 answers with numbers"),
        (True, "max_abs_diff", "limit for classes"),
        (False, "max_value_diff", "limit for numbers, and onnx-float32 answers with classes"),
    ],
)
def test_a_limit_of_the_other_kind_is_refused_and_the_right_one_named(
    numbers: bool,  # noqa: FBT001 - a parameter
    limit: str,
    expected: str,
    tmp_path: Path,
) -> None:
    exports = make_exports(tmp_path / "made", "row", numbers=numbers)
    (tmp_path / "gate.toml").write_text(f"[float32]\n{limit} = 0.5\n")
    with pytest.raises(UsageError, match=expected) as error:
        verify(exports, gates=read_gates(tmp_path / "gate.toml"))
    assert {"max_flips_percent": "max_value_diff", "max_abs_diff": "max_value_diff"}.get(
        limit, "max_abs_diff"
    ) in error.value.hint


@pytest.mark.parametrize("kind", ["classes", "unlabelled", "numbers"])
def test_a_report_shows_any_shape(kind: str, tmp_path: Path) -> None:
    for name in ("meter", "row"):
        exports = make_exports(tmp_path / name, name, numbers=kind == "numbers")
        pack = exports.read_golden()
        if kind == "unlabelled":
            exports = repacked(exports, replace(pack, truth=None))
        elif kind == "classes":
            exports = repacked(
                exports, replace(pack, truth=(pack.labels + 1) % 5, probabilities=pack.probabilities[:, ::-1])
            )
        result = verify(exports)
        exports.findings.save_verification(result)
        facts = read_report_data(exports)
        page, text = html_page(facts), markdown_page(facts)
        assert "<!doctype html>" in page
        assert "None" not in text
        # Its source is an ONNX file.
        assert "Keras" not in page + text
        assert (kind == "unlabelled") == ({row["accuracy"] for row in rows(facts)} == {"–"})
        assert choose(result.artifacts, []).name is None


def test_files_that_read_anything_are_compared_with_each_other(tmp_path: Path) -> None:
    notices = Notices()
    ours = str(write(tmp_path / "a.onnx", (32, 32, 3), weights(SPECS["colour"])))
    theirs = str(write(tmp_path / "b.onnx", (3, 32, 32), weights(SPECS["colour"])))
    other = str(write(tmp_path / "c.onnx", (13,), weights(SPECS["row"])))
    evaluation = evaluation_for(ours, tmp_path, reporter=notices)
    assert evaluation.labels is None
    assert any("200 random inputs" in one for one in notices.messages)
    assert verify_files(ours, [ours], evaluation).passed
    outcomes = [
        verify_files(ours, [theirs], evaluation, quantization=one).verdict.outcome for one in ("float32", "int8")
    ]
    assert outcomes == [MISSED, UNKNOWN]
    with pytest.raises(UsageError, match=r"c\.onnx reads 13 numbers, and the inputs are of \[32, 32, 3\]"):
        verify_files(ours, [other], evaluation)
    np.save(tmp_path / "x.npy", SPECS["row"].random(250))
    found = evaluation_for(other, tmp_path, tmp_path / "x.npy")
    assert verify_files(other, [other], found).images == 250
    with pytest.raises(UsageError, match="no full-int8 TFLite file, and nothing is named to compare it with"):
        verify_alone([ours])


def test_agreement_on_answers_that_are_all_alike_proves_nothing(tmp_path: Path) -> None:
    file = str(write(tmp_path / "a.onnx", (13,), 0 * weights(SPECS["row"])))
    result = verify_files(file, [file], evaluation_for(file, tmp_path))
    assert result.verdict.outcome == UNKNOWN
    assert "answers all 200 evaluation rows alike" in result.artifacts[0].verdict.reasons[0]


@pytest.mark.parametrize(("seen", "outcome"), [(20, PASSED), (21, UNKNOWN)])
def test_seen_rows_prove_nothing_beyond_honest_duplicates(seen: int, outcome: str, tmp_path: Path) -> None:
    exports = make_exports(tmp_path, "row", images=200)
    pack = exports.read_golden()
    marks = encode_training_images(pack.images[:seen])
    (tmp_path / IMAGES_FILE).write_bytes(marks)
    assert exports.manifest.golden is not None
    golden = msgspec.structs.replace(exports.manifest.golden, seen=seen)
    record = msgspec.structs.replace(
        exports.manifest, golden=golden, training_images=FileRecord.of(IMAGES_FILE, marks), data=pack.data
    )
    (tmp_path / MANIFEST_FILE).write_bytes(record.encode())
    exports = Exports.open(tmp_path)
    evaluation = Evaluation(images=pack.images, labels=None, class_labels=None, identity=pack.data)
    file = str(tmp_path / "model.onnx")
    for result in (verify(exports), verify_files(file, [file], evaluation)):
        assert result.verdict.outcome == outcome
        assert any(f"was trained on {seen} of 200 evaluation rows" in one for one in result.warnings)
        assert bool(result.verdict.reasons) == (outcome == UNKNOWN)


@pytest.mark.skipif(not os.environ.get("EDGEMNIST_SHARED"), reason="needs EDGEMNIST_SHARED")
@pytest.mark.parametrize(
    ("stem", "passed"),
    [
        ("ad01_int8", True), ("kws_ref_model", True), ("str_ww_ref_model", True), ("vww_96_int8", True),
        # Its kernels in LiteRT change 5 of 200 labels, 3 of them ties.
        ("pretrainedResnet_quant", False),
    ],
)  # fmt: skip
def test_a_full_int8_file_is_verified_by_itself_without_tensorflow(
    stem: str,
    passed: bool,  # noqa: FBT001 - a parameter
    edgemnist: Run,
) -> None:
    file = Path(os.environ["EDGEMNIST_SHARED"]) / "mlperf_tiny" / f"{stem}.tflite"
    done = edgemnist("verify", file, "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["passed"], result["reference_accuracy"]) == (int(not passed), passed, None)
    assert result["verdict"]["outcome"] == (PASSED if passed else UNKNOWN)
    assert "random inputs" in done.stderr
