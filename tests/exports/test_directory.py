"""What an export directory says about its artifacts, and which model of it answers."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edgemnist.errors import ArtifactError, ManifestError, MissingDependencyError, UnknownNameError, UsageError
from edgemnist.ground.results.verdict import PASSED, Verdict
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.model import exports as module
from edgemnist.model.exports import Exports, find_exports, model_for, open_for_answers, peek, reference_directory
from edgemnist.model.exports.findings import BENCH_FILE, VERIFY_FILE, Findings, read_saved
from edgemnist.model.exports.manifest import MANIFEST_FILE
from edgemnist.model.exports.models import Model
from edgemnist.model.runtimes import RUNTIMES, RuntimeEntry
from tests.conftest import OLD_EXPORTS
from tests.judged import judged, measured_here, verified_here
from tests.notices import Notices

INT8, FLOAT, ONNX = "tflite-int8", "tflite-float32", "onnx-float32"
NAMES = [INT8, FLOAT, ONNX]
replaced = msgspec.structs.replace


def edit(directory: Path, **changes: Any) -> None:
    manifest = replaced(Exports.open(directory).manifest, **changes)
    (directory / MANIFEST_FILE).write_bytes(manifest.encode())


def without_runtimes(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these runtimes be ones that are not installed."""
    missing = RuntimeEntry.missing

    def of(entry: RuntimeEntry) -> tuple[str, ...]:
        return ("a-package", "another") if any(RUNTIMES[name] is entry for name in names) else missing(entry)

    monkeypatch.setattr(RuntimeEntry, "missing", of)


def statuses(directory: Path) -> dict[str, tuple[str, bool]]:
    return {one.name: (one.status, one.usable) for one in Exports.open(directory).artifacts}


def test_a_whole_directory_is_current(old_exports: Path) -> None:
    exports = Exports.open(old_exports)
    assert statuses(old_exports) == dict.fromkeys(NAMES, ("current", True))
    assert [one.reason for one in exports.artifacts] == [""] * 3
    assert exports.mismatch == ""
    assert not exports.is_reference
    assert exports.artifact(ONNX) == exports.artifacts[2]
    with pytest.raises(UnknownNameError, match="did you mean 'tflite-int8'"):
        exports.artifact("tflite-int9")
    assert exports.command("verify") == f"edgemnist verify --exports {old_exports}"
    assert [exports.notice(name) for name in NAMES] == [""] * 3
    assert isinstance(exports.findings, Findings)
    assert exports.findings is exports.findings


def test_artifacts_of_an_earlier_model_are_outdated_and_still_answer(old_exports: Path) -> None:
    (old_exports / "model.keras").write_bytes(b"another")
    exports = Exports.open(old_exports)
    reason = f"model.keras has changed since the export: run edgemnist export --exports {old_exports}"
    assert statuses(old_exports) == dict.fromkeys(NAMES, ("outdated", True))
    assert exports.artifact(INT8).reason == exports.mismatch == reason
    assert exports.notice(INT8) == f"{INT8} in {old_exports} is outdated: {reason}."
    notices = Notices()
    assert [one.name for one in exports.select([INT8], notices)] == [INT8]
    assert exports.model(INT8, notices).name == INT8
    assert notices.messages == [exports.notice(INT8)] * 2
    notices.messages.clear()
    name = exports.model(None, notices).name
    assert notices.messages == [
        f"No artifact in {old_exports} has passed `edgemnist verify`, so {name} is used unverified.",
        exports.notice(INT8),
    ]


def test_the_model_is_the_one_that_is_there_and_else_the_recorded_one(old_exports: Path) -> None:
    recorded = Exports.open(old_exports).manifest.model
    assert recorded is not None
    assert Exports.open(old_exports).model_sha256 == recorded.sha256
    (old_exports / "model.keras").unlink()
    assert Exports.open(old_exports).model_sha256 == recorded.sha256
    edit(old_exports, model=None)
    assert Exports.open(old_exports).model_sha256 is None
    assert Exports.open(old_exports).mismatch == ""
    assert statuses(old_exports) == dict.fromkeys(NAMES, ("current", True))


def test_a_golden_pack_of_another_model_is_told(old_exports: Path) -> None:
    golden = Exports.open(old_exports).manifest.golden
    assert golden is not None
    edit(old_exports, golden=replaced(golden, model_sha256="0" * 64))
    exports = Exports.open(old_exports)
    reason = f"golden.npz belongs to another model: run edgemnist export --exports {old_exports}"
    assert exports.mismatch == reason
    assert exports.outdated_reason(exports.manifest.artifact(INT8)) == reason
    assert statuses(old_exports) == dict.fromkeys(NAMES, ("outdated", True))
    # The pack is not of an artifact that was exported again, whatever the others are of.
    artifacts = exports.manifest.artifacts
    edit(old_exports, golden=golden, artifacts=[replaced(artifacts[0], model_sha256="0" * 64), *artifacts[1:]])
    assert statuses(old_exports) == {INT8: ("outdated", True), FLOAT: ("current", True), ONNX: ("current", True)}
    edit(old_exports, golden=None)
    assert Exports.open(old_exports).mismatch == ""
    assert statuses(old_exports)[FLOAT] == ("current", True)
    # Where even the model is unknown, the pack decides.
    (old_exports / "model.keras").unlink()
    edit(old_exports, golden=golden, model=None)
    assert Exports.open(old_exports).artifact(INT8).reason == reason


def test_everything_that_runs_here_is_selected(old_exports: Path) -> None:
    notices = Notices()
    selected = Exports.open(old_exports).select(None, notices)
    assert [one.name for one in selected if one.entry.partial] in ([], [f"{INT8}@native"], [INT8])
    assert list(dict.fromkeys(one.artifact for one in selected)) == NAMES
    assert not any(one.entry.by_name for one in selected)
    assert notices.messages == []
    assert Exports.open(old_exports).select([], notices) == selected


def test_a_partial_runtime_is_left_out_where_it_cannot_run(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for takes in (True, False):
        monkeypatch.setattr(Model, "can_load", lambda model, takes=takes: takes and model.runtime == "native")
        names = [(one.artifact, one.runtime) for one in Exports.open(old_exports).select()]
        assert ((INT8, "native") in names) == (takes and not RUNTIMES["native"].missing())
        assert (INT8, "litert") in names
        # Whether it could load it or not: that engine executes full-int8 files only.
        assert (FLOAT, "native") not in names


def test_models_are_selected_by_name_and_runtime_each_once(old_exports: Path) -> None:
    exports = Exports.open(old_exports)
    names = [ONNX, f"{INT8}@integer", INT8, ONNX, f"{ONNX}@onnxruntime"]
    selected = exports.select(names)
    assert [one.name for one in selected] == [ONNX, f"{INT8}@integer", INT8]
    assert [one.runtime for one in selected][:2] == ["onnxruntime", "integer"]
    assert exports.select([INT8])[0].record == exports.manifest.artifact(INT8)
    with pytest.raises(UnknownNameError):
        exports.select(["nonsense"])
    for name, runtime in ((INT8, "onnxruntime"), (FLOAT, "integer")):
        with pytest.raises(UsageError, match=runtime) as failure:
            exports.select([f"{name}@{runtime}"])
        assert name in failure.value.message


def test_a_named_file_that_is_damaged_is_refused_and_others_are_left_out(old_exports: Path) -> None:
    (old_exports / f"{INT8}.tflite").write_bytes(b"changed")
    exports = Exports.open(old_exports)
    with pytest.raises(ArtifactError, match="it is damaged"):
        exports.select([INT8])
    notices = Notices()
    assert {one.artifact for one in exports.select(None, notices)} == {FLOAT, ONNX}
    assert notices.messages == [f"{INT8} is left out: {exports.artifact(INT8).reason}."]
    for name in (FLOAT, ONNX):
        (old_exports / exports.manifest.artifact(name).file).unlink()
    with pytest.raises(ArtifactError, match="it is damaged"):
        Exports.open(old_exports).select()


def test_an_artifact_without_a_runtime_is_left_out_with_the_line_that_brings_it(
    old_exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_runtimes(monkeypatch, "onnxruntime")
    exports = Exports.open(old_exports)
    notices = Notices()
    assert {one.artifact for one in exports.select(None, notices)} == {INT8, FLOAT}
    line = RUNTIMES["onnxruntime"].install_line()
    assert notices.messages == [f"{ONNX} is left out: it needs a-package, another ({line})."]
    with pytest.raises(MissingDependencyError):
        exports.select([ONNX])
    # Where nothing is left, the runtime is the reason, not the files that are damaged as well.
    for name in (INT8, FLOAT):
        (old_exports / f"{name}.tflite").write_bytes(b"changed")
    with pytest.raises(MissingDependencyError):
        Exports.open(old_exports).select()


def test_what_must_be_named_is_not_said_to_need_what_is_here(
    old_exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a web page, which opens a browser."""
    named = {name: dataclasses.replace(RUNTIMES[name], by_name=True) for name in ("onnxruntime",)}
    monkeypatch.setattr(module, "RUNTIMES", {**RUNTIMES, **named})
    notices = Notices()
    assert {one.artifact for one in Exports.open(old_exports).select(None, notices)} == {INT8, FLOAT}
    assert notices.messages == [f"{ONNX} is left out: it is included only if you name it."]


def test_a_directory_without_artifacts_says_how_to_make_some(old_exports: Path) -> None:
    edit(old_exports, artifacts=[])
    with pytest.raises(ManifestError) as failure:
        Exports.open(old_exports).select([INT8])
    assert failure.value.message == f"{old_exports} has no artifacts"
    assert failure.value.hint == f"Make some with: edgemnist export --exports {old_exports}"


def rewrite_bench(directory: Path, **p50_us: float) -> None:
    saved = measured_here(OLD_EXPORTS)
    times = {row.name: p50_us[row.name.replace("-", "_")] for row in saved.results}
    rows = [replaced(row, p50_us=times[row.name], blocks_us=[times[row.name]] * 4) for row in saved.results]
    (directory / BENCH_FILE).write_text(replaced(saved, results=rows).to_json())


def rewrite_verify(directory: Path, *passed: str) -> None:
    saved, exports = verified_here(OLD_EXPORTS), Exports.open(directory)
    rows = [judged(replaced(row, passed=row.name in passed), exports) for row in saved.artifacts]
    (directory / VERIFY_FILE).write_text(replaced(saved, artifacts=rows).to_json())


def test_the_fastest_that_is_verified_and_runs_here_answers(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notices = Notices()
    rewrite_bench(old_exports, tflite_int8=3.0, tflite_float32=2.0, onnx_float32=1.0)
    choice = Exports.open(old_exports).best()
    assert (choice.model.name, choice.verified, choice.doubt) == (ONNX, True, "")
    assert choice.reason.startswith(f"Ship {ONNX}: ")
    assert Exports.open(old_exports).model(None, notices).name == ONNX
    assert notices.messages == []
    with monkeypatch.context() as patch:
        without_runtimes(patch, "onnxruntime")
        choice = Exports.open(old_exports).best()
        assert choice.reason.startswith(f"Ship {FLOAT}: ")
    rewrite_verify(old_exports, INT8, FLOAT)
    assert Exports.open(old_exports).best().model.name == FLOAT
    # None of the verified was measured.
    rows = measured_here(OLD_EXPORTS).results[2:]
    (old_exports / BENCH_FILE).write_text(replaced(measured_here(OLD_EXPORTS), results=rows).to_json())
    rewrite_verify(old_exports, FLOAT)
    choice = Exports.open(old_exports).best()
    assert (choice.model.name, choice.reason, choice.verified) == (FLOAT, "", True)


def test_where_nothing_was_measured_the_first_that_is_verified_answers(old_exports: Path) -> None:
    (old_exports / BENCH_FILE).unlink()
    choice = Exports.open(old_exports).best()
    assert (choice.model.artifact, choice.reason, choice.verified) == (INT8, "", True)
    rewrite_verify(old_exports, FLOAT, ONNX)
    choice = Exports.open(old_exports).best()
    assert (choice.model.name, choice.reason) == (FLOAT, "")


def test_unmeasured_the_exact_runtime_answers(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (old_exports / BENCH_FILE).unlink()
    exports = Exports.open(old_exports)
    models = [
        Model.recorded(old_exports, exports.manifest.artifact(name), runtime, exports.task)
        for name, runtime in ((FLOAT, "litert"), (INT8, "litert"), (INT8, "native"), (ONNX, "onnxruntime"))
    ]
    monkeypatch.setattr(Exports, "select", lambda *_: models[1:])
    monkeypatch.setattr(Findings, "parity", lambda *_: SimpleNamespace(verdict=Verdict(outcome=PASSED)))
    assert exports.best().model is models[2]
    # An exact runtime of another artifact is no reason to leave the first one.
    monkeypatch.setattr(Exports, "select", lambda *_: models)
    assert exports.best().model is models[0]


def test_unverified_models_answer_with_a_word_and_what_missed_last(old_exports: Path) -> None:
    rewrite_verify(old_exports)
    choice = Exports.open(old_exports).best()
    passed = f"No artifact in {old_exports} has passed `edgemnist verify`"
    doubt = f"{passed}, so {choice.model.name} is used although it missed its gate."
    assert (choice.model.artifact, choice.reason, choice.verified, choice.doubt) == (INT8, "", False, doubt)
    notices = Notices()
    Exports.open(old_exports).model(None, notices)
    assert notices.messages == [doubt]
    saved = read_saved(old_exports / VERIFY_FILE, VerifyResult, hint="")
    assert saved is not None
    (old_exports / VERIFY_FILE).write_text(replaced(saved, artifacts=saved.artifacts[:1]).to_json())
    choice = Exports.open(old_exports).best()
    assert choice.model.artifact != INT8
    assert choice.doubt.endswith("is used unverified.")


def test_what_is_current_answers_before_what_is_outdated(old_exports: Path) -> None:
    exports = Exports.open(old_exports)
    artifacts = exports.manifest.artifacts
    edit(old_exports, artifacts=[replaced(artifacts[0], model_sha256="0" * 64), *artifacts[1:]])
    (old_exports / VERIFY_FILE).unlink()
    assert Exports.open(old_exports).best().model.artifact == FLOAT


@pytest.mark.parametrize("file", [VERIFY_FILE, BENCH_FILE])
def test_a_broken_finding_is_told_with_the_model_that_answers(file: str, old_exports: Path) -> None:
    (old_exports / file).write_text("{")
    notices = Notices()
    exports = Exports.open(old_exports)
    choice = exports.best()
    assert choice.doubt.startswith(f"{old_exports / file} is broken")
    assert choice.reason == ""
    assert choice.model.artifact == INT8
    exports.model(None, notices)
    word = "is used unverified." if file == VERIFY_FILE else "may not be the fastest."
    assert notices.messages == [choice.doubt]
    assert choice.doubt.endswith(f", so {choice.model.name} {word}")


def test_what_the_exporting_machine_answered_is_known_by_the_files_hash(old_exports: Path) -> None:
    exports = Exports.open(old_exports)
    for name in (INT8, f"{INT8}@integer", ONNX):
        answers = exports.reference_answers(exports.model(name))
        assert answers is not None
        assert answers.shape == (200, 10)
    assert exports.reference_answers(exports.model(str(old_exports / f"{INT8}.tflite"))) is None
    edit(old_exports, answers=None)
    assert Exports.open(old_exports).reference_answers(exports.model(INT8)) is None
    assert exports.read_golden().images.shape == (200, 28, 28)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_reference_is_named_by_one_word_but_for_a_directory_of_that_name(here: Path) -> None:
    assert find_exports("reference") == reference_directory()
    opened = Exports.open("reference")
    assert opened.is_reference
    assert opened.command("report") == "edgemnist report --exports reference"
    shutil.copytree(OLD_EXPORTS, here / "reference")
    assert find_exports("reference") == Path("reference")
    assert not Exports.open("reference").is_reference
    assert find_exports("elsewhere") == Path("elsewhere")


def test_nothing_falls_back_that_does_not_say_so(here: Path) -> None:
    notices = Notices()
    assert find_exports(None, notices, fall_back=False) == Path("exports")
    assert notices.messages == []
    with pytest.raises(ManifestError):
        Exports.open(None, notices)
    assert Exports.open(None, notices, fall_back=True).is_reference
    assert notices.messages == ["exports/ has no artifacts yet, so the reference that comes with edgemnist is used."]
    (here / "exports").mkdir()
    (here / "exports" / "notes.txt").touch()
    assert find_exports(None, notices) == reference_directory()
    shutil.rmtree(here / "exports")
    shutil.copytree(OLD_EXPORTS, here / "exports")
    assert Exports.open().directory == Path("exports")
    assert Exports.open().command("verify") == "edgemnist verify"


@pytest.mark.parametrize("left", [MANIFEST_FILE, f"{INT8}.tflite"])
def test_what_the_user_exported_comes_first_even_where_the_manifest_was_lost(left: str, here: Path) -> None:
    (here / "exports").mkdir()
    (here / "exports" / left).touch()
    notices = Notices()
    assert find_exports(None, notices) == Path("exports")
    assert notices.messages == []


def test_the_reference_lies_in_the_package_or_else_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(module.__file__).parents[2]
    monkeypatch.setattr("os.path.isdir", lambda path: Path(path) == package / "reference")
    assert reference_directory() == package / "reference"
    monkeypatch.setattr("os.path.isdir", lambda _: False)
    assert reference_directory() == package.parent / "exports" / "reference"


def test_who_only_peeks_is_told_what_is_not_current(here: Path) -> None:
    notices = Notices()
    assert peek(None, notices) is None
    assert notices.messages == []
    with pytest.raises(ManifestError):
        peek("nowhere", notices)
    shutil.copytree(OLD_EXPORTS, here / "exports")
    opened = peek(None, notices)
    assert opened is not None
    assert notices.messages == []
    (here / "exports" / f"{INT8}.tflite").unlink()
    opened = peek(None, notices)
    assert opened is not None
    assert notices.messages == [f"{INT8} is missing: {opened.artifact(INT8).reason}."]
    notices.messages.clear()
    (here / "exports" / MANIFEST_FILE).write_text("{")
    assert peek(None, notices) is None
    (notice,) = notices.messages
    assert notice.startswith("exports/manifest.json is not a manifest")
    assert notice.endswith(".")
    with pytest.raises(ManifestError):
        peek("exports", notices)


def test_questionable_figures_are_told_to_whoever_opens_or_peeks(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def question(opened: Exports, reporter: Notices) -> None:
        asked.append(opened.directory)
        reporter.notice("?")

    monkeypatch.setattr(module, "question", question)
    for name in ("exports", "others"):
        shutil.copytree(OLD_EXPORTS, here / name)
    notices = Notices()
    assert peek(None, notices) is not None
    assert peek("others", notices) is not None
    assert open_for_answers(None, None, notices) is not None
    assert open_for_answers("others", INT8, notices) is not None
    assert open_for_answers("others", f"{INT8}@integer", notices) is not None
    assert asked == [Path(name) for name in ("exports", "others", "exports", "others", "others")]
    assert notices.messages == ["?"] * 5
    # A file answers by itself.
    for name in ("mine.tflite", "mine.tflite@integer"):
        assert open_for_answers("exports", name, notices) is None
    assert len(asked) == 5


def test_a_model_comes_with_the_names_of_its_classes(old_exports: Path) -> None:
    labels = [f"class {number}" for number in range(10)]
    edit(old_exports, labels=labels)
    exports = Exports.open(old_exports)
    assert list(exports.load(INT8).labels) == exports.labels_for(exports.model(INT8)) == labels
    model, found = model_for(exports, INT8)
    assert (model.name, found) == (INT8, labels)
    file = str(old_exports / f"{INT8}.tflite")
    assert exports.labels_for(exports.model(file)) is None
    notices = Notices()
    rewrite_verify(old_exports)
    model_for(Exports.open(old_exports), None, notices)
    assert len(notices.messages) == 1
    with pytest.raises(ArtifactError):
        model_for(None, None)
