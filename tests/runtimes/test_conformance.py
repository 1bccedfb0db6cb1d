"""Every registered runtime keeps the contract: uint8 images in, float32 probabilities out, whatever the file holds."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgemnist
from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.arrays import Images
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import RUNTIMES, RuntimeEntry, default_runtime, load
from edgemnist.model.runtimes.integer import IntegerClassifier
from edgemnist.model.runtimes.interface import ChunkedClassifier, Classifier
from tests.conftest import Run
from tests.needs import require_runtime
from tests.serve.service import png, serving, seven
from tests.shapes import SPECS
from tests.shapes.made import weights, write


def files(exports: Path) -> list[Path]:
    """Return the Keras model and every artifact."""
    manifest = read_manifest(exports)
    assert manifest.model is not None
    return [exports / manifest.model.file, *(exports / artifact.file for artifact in manifest.artifacts)]


LATE = {"compiled", "browser", "keras"}
"""Those that need TensorFlow, or whose files need a compiler or a browser, and an export."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.all] * (name in LATE)) for name in RUNTIMES]
)
def classifiers(request: pytest.FixtureRequest) -> list[Classifier]:
    """One classifier for each file that the runtime takes; runtimes that are not installed are named as skipped."""
    runtime = request.param
    require_runtime(runtime)
    entry = RUNTIMES[runtime]
    if missing := entry.missing():
        pytest.skip(f"{runtime} needs {', '.join(missing)}: {entry.install_line()}")
    exports = request.getfixturevalue("every_export" if runtime in LATE else "made_exports")
    taken = [path for path in files(exports) if entry.executes(path, path.stem)]
    assert taken, f"no exported file tests {runtime}"
    return [load(path, runtime=runtime, trusted=True) for path in taken]


@pytest.fixture(scope="module")
def images(made_exports: Path) -> Images:
    return read_golden(made_exports, read_manifest(made_exports)).images


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_as_many_images_as_rows_of_probabilities(count: int, classifiers: list[Classifier], images: Images) -> None:
    for classifier in classifiers:
        answers = classifier.predict_proba(images[:count])
        assert answers.dtype == np.float32
        assert answers.shape == (count, 10)
        assert np.all(answers >= 0)
        # Ten int8 probabilities are each rounded to 1/256.
        assert np.all(np.abs(answers.sum(axis=1) - 1) <= 6 / 256)
        labels = classifier.predict(images[:count])
        assert labels.dtype == np.int64
        assert labels.tolist() == answers.argmax(axis=1).tolist()


def test_a_chunk_boundary_changes_no_answer(classifiers: list[Classifier], images: Images) -> None:
    many = np.concatenate([images, images, images])[:2500]
    for classifier in classifiers:
        answers = classifier.predict_proba(many)
        assert np.abs(answers[1000:2000] - answers[:1000]).max() <= 1e-5


def test_the_images_may_lie_anywhere_in_memory(classifiers: list[Classifier], images: Images) -> None:
    flipped = images[:20, ::-1, ::-1]
    assert not flipped.flags.c_contiguous
    frozen = np.ascontiguousarray(flipped)
    frozen.flags.writeable = False
    for classifier in classifiers:
        one, other = classifier.predict_proba(flipped), classifier.predict_proba(frozen)
        assert np.array_equal(one, other)
        assert np.array_equal(classifier.predict_proba(flipped[:1]), classifier.predict_proba(frozen[:1]))


def test_answers_are_new_arrays_that_a_later_call_leaves_alone(classifiers: list[Classifier], images: Images) -> None:
    for classifier in classifiers:
        first = classifier.predict_proba(images[:1])
        kept = first.copy()
        classifier.predict_proba(images[1:2])
        classifier.predict_proba(images[:50])
        assert np.array_equal(first, kept)
        first[:] = 7
        assert np.array_equal(classifier.predict_proba(images[:1]), kept)


def test_labels_come_from_the_caller_or_are_numbers_with_any_threads(made_exports: Path, images: Images) -> None:
    names = [f"class {index}" for index in range(10)]
    for path in files(made_exports)[1:]:
        named, plain = load(path, labels=names, trusted=True), load(path, threads=2, trusted=True)
        assert named.labels == tuple(names)
        assert plain.labels == tuple(str(index) for index in range(10))
        assert plain.classes_.tolist() == list(range(10))
        assert np.array_equal(named.predict(images[:200]), plain.predict(images[:200]))


def test_load_picks_the_runtime_from_the_ending(made_exports: Path, tmp_path: Path) -> None:
    assert {default_runtime(path) for path in files(made_exports)} == {"keras", "litert", "onnxruntime"}
    assert edgemnist.load(str(made_exports / "onnx-int8.onnx")).labels
    with pytest.raises(ArtifactError, match="No runtime takes"):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", pytest.param(".keras", marks=pytest.mark.all)])
@pytest.mark.parametrize("content", ["nothing", "garbage", "half", "other format", "missing"])
def test_what_is_no_model_is_an_artifact_error(suffix: str, content: str, made_exports: Path, tmp_path: Path) -> None:
    mine = next(path for path in files(made_exports) if path.suffix == suffix)
    other = next(path for path in files(made_exports) if path.suffix != suffix)
    data = mine.read_bytes()
    path = tmp_path / f"broken{suffix}"
    written = {
        "nothing": b"",
        "garbage": bytes(range(256)) * 64,
        "half": data[: len(data) // 2],
        "other format": other.read_bytes(),
    }
    if content in written:
        path.write_bytes(written[content])
    with pytest.raises(ArtifactError) as caught:
        load(path)
    assert path.name in caught.value.message


def test_importing_the_registries_loads_no_runtime() -> None:
    heavy = ("tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert")
    code = f"import sys, edgemnist, edgemnist.pipeline.export; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


REFUSING = {"CompiledClassifier", "BrowserClassifier"}
"""They take inputs alone."""


def test_tensors_go_in_and_come_out_as_the_file_has_them(
    classifiers: list[Classifier], images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    for classifier in classifiers:
        if type(classifier).__name__ in REFUSING:
            with pytest.raises(UsageError, match="takes no tensors"):
                classifier.run(images)
            continue
        assert isinstance(classifier, ChunkedClassifier)
        assert classifier._reads is not None
        dtype, shape = classifier._reads
        if dtype.kind == "f":
            given = classifier.spec.real(images).astype(dtype).reshape(-1, *shape)
            np.testing.assert_allclose(classifier.run(given), classifier.predict_proba(images), atol=1e-5)
        else:
            given = np.random.default_rng(3).integers(-128, 128, (1010, *shape)).astype(dtype)
            given[-10:] = (images[:10].astype(int) - 128).reshape(-1, *shape)
            check_bits(classifier, given, monkeypatch)
        few = given[::-7]
        np.testing.assert_array_equal(classifier.run(few), classifier.run(few.copy()))
        one = classifier.run(few[:1])
        assert classifier.run(few[:0]).shape == (0, *one.shape[1:])
        assert classifier.run(few[:0]).dtype == one.dtype
        wanted = f"{dtype} [{', '.join(map(str, ('N', *shape)))}]"
        for wrong in (few.astype(np.int16), few[0], few[..., None], few[:, 1:], few.tolist()):
            with pytest.raises(ValueError, match="the input tensor must be") as caught:
                classifier.run(wrong)
            assert str(caught.value).startswith(f"the input tensor must be {wanted}, not ")


def check_bits(classifier: Classifier, given: npt.NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime gives every bit of the integer reference; LiteRT in its reference kernels."""
    assert classifier.path is not None
    expected = IntegerClassifier.load(classifier.path).run(given)
    assert expected.dtype == given.dtype
    assert len(np.unique(expected, axis=0)) > 5
    if type(classifier).__name__ == "LiteRTClassifier":
        from ai_edge_litert import interpreter

        kernels = interpreter.OpResolverType.BUILTIN_REF
        made = functools.partial(interpreter.Interpreter, experimental_op_resolver_type=kernels)
        monkeypatch.setattr(interpreter, "Interpreter", made)
        classifier = load(classifier.path, runtime="litert", trusted=True)
    np.testing.assert_array_equal(classifier.run(given), expected)


def test_a_file_with_a_fixed_batch_takes_whole_ones(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    spec = SPECS["row"]
    path = write(tmp_path / "model.onnx", spec.shape, weights(spec))
    model = onnx.load(path)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, path)
    given = np.random.default_rng(1).normal(size=(8, *spec.shape)).astype(np.float32)
    classifier = load(path, spec=spec, trusted=True)
    np.testing.assert_allclose(classifier.run(given), given @ weights(spec), atol=1e-5)
    with pytest.raises(ValueError, match=r"must be float32 \[4 \* N, 13\], not float32 \[6, 13\]"):
        classifier.run(given[:6])


FILE = '''
from edgemnist.model.runtimes.onnxruntime import ONNXRuntimeClassifier


class ToyClassifier(ONNXRuntimeClassifier):
    """ONNX Runtime under another name."""
'''
ENTRY = """
from edgemnist.model.runtimes import RUNTIMES, RuntimeEntry

RUNTIMES["toy"] = RuntimeEntry(target="toy:ToyClassifier", summary="A toy", suffixes=(".onnx",))
"""
QUICK = ("--seconds", "0")
NAME = "onnx-float32@toy"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a runtime to the registry of this process, and of every one that a test starts."""
    home = tmp_path / "site"
    home.mkdir()
    (home / "toy.py").write_text(FILE)
    (home / "sitecustomize.py").write_text(ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(home), prepend=":")
    monkeypatch.syspath_prepend(home)
    monkeypatch.setitem(RUNTIMES, "toy", RuntimeEntry(target="toy:ToyClassifier", summary="A toy", suffixes=(".onnx",)))


@pytest.mark.all
@pytest.mark.usefixtures("toy")
def test_it_is_verified_measured_and_answers(old_exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    def ask(*words: str) -> dict[str, Any]:
        done = edgemnist(*words, "--exports", old_exports, "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    assert NAME in [one["name"] for one in ask("verify")["artifacts"]]
    assert [one["runtime"] for one in ask("bench", NAME, "--batch-size", "1", *QUICK)["results"]] == ["toy"]
    assert ask("predict", "--index", "0", "--artifact", NAME)["runtime"] == "toy"
    seven(mode="RGB").save(tmp_path / "seven.png")
    read = edgemnist("read", tmp_path / "seven.png", "--artifact", NAME, "--exports", old_exports)
    assert read.returncode == 0, read.stderr
    with serving(old_exports, "--artifact", NAME) as service:
        assert service.ask("/v1/predict", png(seven())).document["runtime"] == "toy"
        assert service.ask("/v1/predict?artifact=onnx-float32", png(seven())).document["runtime"] == "onnxruntime"


@pytest.mark.usefixtures("toy")
def test_it_is_refused_for_files_that_it_does_not_execute(old_exports: Path, edgemnist: Run) -> None:
    for words in (["verify"], ["bench"], ["predict", "--index", "0", "--artifact"]):
        done = edgemnist(*words, "tflite-int8@toy", "--exports", old_exports)
        assert done.returncode == 2
        assert "The runtime toy does not execute tflite-int8" in " ".join(done.stderr.split())
