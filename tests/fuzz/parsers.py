"""What is fuzzed: a parser takes the bytes of one input, and may raise what a user is told as a sentence."""

import contextlib
import gzip
import io
import json
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

import edgemnist
from edgemnist.board.agent.bundle import Archive, encode_archive
from edgemnist.digits.images import normalize_digit
from edgemnist.errors import DataError, EdgemnistError
from edgemnist.fleet.deploy import answers
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.pictures import decode_image
from edgemnist.ground.results.bench import BenchResult
from edgemnist.ground.results.boards import ReleasesResult, RollbackResult
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.findings import read_saved
from edgemnist.model.exports.golden import decode_answers, decode_golden, encode_answers
from edgemnist.model.exports.manifest import Manifest, decode_versioned
from edgemnist.model.task import default_task
from edgemnist.pipeline.data.idx import decode_images, decode_labels
from edgemnist.pipeline.verify.gate import GateTable, gate_toml, read_gates
from tests.data.conftest import encode_idx
from tests.fuzz.mutations import broken, broken_json, repacked
from tests.shapes.graphs import BRANCHED, graph_of, write_tflite

OLD: Final = Path(__file__).parents[1] / "exports" / "made_by_0.1.0"
FINDINGS: Final = {"verify": VerifyResult, "bench": BenchResult, "training": TrainResult}


@dataclass(frozen=True, kw_only=True)
class Parser:
    """Something that reads what others made."""

    count: int
    """Inputs of a hundred thousand."""
    wholes: Callable[[Path], Sequence[bytes]]
    """Returns unbroken input, which is then broken; the directory is for whoever needs files."""
    parse: Callable[[bytes, Path], object]
    """Reads one input; the path names a file of its own."""
    mutate: Callable[[bytes, random.Random], bytes] = broken
    told: tuple[type[BaseException], ...] = field(default=(EdgemnistError,))
    """What it may raise: sentences, and what its only callers make sentences of."""


def files(*names: str) -> Callable[[Path], Sequence[bytes]]:
    """Return what reads files of an old export directory."""
    return lambda _: [(OLD / name).read_bytes() for name in names]


def _loaded(runtime: str) -> Callable[[bytes, Path], Any]:
    def parse(data: bytes, path: Path) -> Any:
        suffix = ".onnx" if runtime == "onnxruntime" else ".tflite"
        file = path.with_suffix(suffix)
        file.write_bytes(data)
        return edgemnist.load(file, runtime=runtime)

    return parse


def _graphs(directory: Path) -> Sequence[bytes]:
    """Return chains and branches, small, so that a change often meets the structure and seldom a weight."""
    spec = InputSpec(shape=(6, 5, 2))
    drawn = [graph_of(spec, kind, seed, 3) for seed, kind in enumerate(("cnn", *BRANCHED, "dense"))]
    return [write_tflite(graph, directory / "graph.tflite").read_bytes() for graph in drawn]


def _answered(data: bytes, path: Path) -> object:
    classifier = _loaded("native")(data, path)
    return classifier.answer(classifier.spec.random(3))


def _finding(kind: type[Any]) -> Callable[[bytes, Path], object]:
    def parse(data: bytes, path: Path) -> object:
        path.write_bytes(data)
        return read_saved(path, kind, hint="")

    return parse


def _small_golden(_: Path) -> Sequence[bytes]:
    whole = Exports.open(OLD).read_golden()
    few = {name: getattr(whole, name)[:20] for name in ("images", "labels", "probabilities")}
    return [replace(whole, **few).encode()]


def _small_answers(_: Path) -> Sequence[bytes]:
    return [encode_answers({"0" * 64: np.ones((20, 10), np.float32), "1" * 64: np.ones((20, 10), np.float32)})]


def _picture_files(_: Path) -> Sequence[bytes]:
    rng = np.random.default_rng(0)
    drawn = Image.fromarray(rng.integers(0, 255, (20, 24), dtype=np.uint8)).resize((72, 60))
    saved = []
    for kind, mode, options in (
        ("PNG", "L", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True}),
        ("BMP", "RGB", {}), ("GIF", "P", {}), ("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}),
        ("TIFF", "RGB", {}), ("TIFF", "L", {"compression": "tiff_lzw"}), ("TIFF", "1", {"compression": "group4"}),
        ("PPM", "RGB", {}),
    ):  # fmt: skip
        stream = io.BytesIO()
        drawn.convert(mode).save(stream, kind, **options)
        saved.append(stream.getvalue())
    return saved


def _idx_files(_: Path) -> Sequence[bytes]:
    images, labels = encode_idx(np.ones((5, 28, 28), np.uint8)), encode_idx(np.arange(5, dtype=np.uint8))
    return [images, labels, gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0)]


def _idx(data: bytes, path: Path) -> object:
    with contextlib.suppress(DataError):
        decode_images(data, path.name)
    return decode_labels(data, path.name)


def _bundles(_: Path) -> Sequence[bytes]:
    whole = encode_archive({"bundle.json": b"{}", "exports/manifest.json": b"{}" * 40, "a/b.tflite": bytes(900)})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b"0" * 4000)
    return [whole, stream.getvalue()]


def _bundle(data: bytes, path: Path) -> object:
    path.write_bytes(data)
    with Archive(path) as archive:
        for name in archive.names():
            archive.read(name, most=1 << 20)
        archive.check_encoding()
        return archive.names()


def _gates(_: Path) -> Sequence[bytes]:
    return [gate_toml(GateTable()).encode(), b"settled_images = 10000\n[int8]\nmax_flips_percent = 0.1\n"]


def _gate(data: bytes, path: Path) -> object:
    path.write_bytes(data)
    return read_gates(path)


def _broken_toml(whole: bytes, rng: random.Random) -> bytes:
    return b"a = " + b"[" * rng.choice((1000, 100_000)) if rng.random() < 0.01 else broken(whole, rng)


def _board_answers(_: Path) -> Sequence[bytes]:
    documents: list[dict[str, Any]] = [
        {"process": 17}, {"step": "copying"}, {"error": {"kind": "deploy", "message": "no", "hint": ""}},
        {"result": {"release": "a", "previous": None, "files": 3, "facts": {"cpu": "x", "python": "3.9"}}},
        {"releases": [{"name": "a", "active": True, "whole": True, "reason": ""}], "service": None, "root": "/opt"},
    ]  # fmt: skip
    return [json.dumps(one).encode() for one in documents]


def _board_answer(data: bytes, path: Path) -> object:
    found: list[object] = []
    kinds = (answers.Line, answers.Prepared, answers.Applied, RollbackResult, ReleasesResult, answers.Ran)
    for kind in kinds:
        with contextlib.suppress(EdgemnistError):
            found.append(answers.decode(path.name, data, kind))
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(data)
        for kind in kinds:
            with contextlib.suppress(EdgemnistError):
                found.append(answers.convert(path.name, document, kind))
    return answers.message(data.decode(errors="replace"))


def _image_lists(_: Path) -> Sequence[bytes]:
    return [json.dumps([[0, 255, 0.5] * 9 + [1]] * 28).encode(), json.dumps([[[0] * 28] * 28] * 2).encode()]


def _images(data: bytes, _: Path) -> object:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return default_task().input.check(document)


PARSERS: Final[Mapping[str, Parser]] = {
    "tflite, integer reference": Parser(count=8700, wholes=files("tflite-int8.tflite"), parse=_loaded("integer")),
    "tflite, native": Parser(count=4000, wholes=files("tflite-int8.tflite"), parse=_loaded("native")),
    "graphs, native": Parser(count=2000, wholes=_graphs, parse=_answered),
    "tflite, LiteRT": Parser(
        count=150, wholes=files("tflite-int8.tflite", "tflite-float32.tflite"), parse=_loaded("litert")
    ),
    "onnx": Parser(count=150, wholes=files("onnx-float32.onnx"), parse=_loaded("onnxruntime")),
    "golden pack": Parser(count=4000, wholes=_small_golden, parse=lambda data, _: decode_golden(data), mutate=repacked),
    "answers": Parser(
        count=4000, wholes=_small_answers, parse=lambda data, _: decode_answers(io.BytesIO(data)), mutate=repacked
    ),
    "manifest": Parser(
        count=12_000,
        wholes=files("manifest.json"),
        parse=lambda data, path: decode_versioned(Manifest, path, data, problem="", hint=""),
        mutate=broken_json,
    ),
    **{
        f"{name}.json": Parser(count=5000, wholes=files(f"{name}.json"), parse=_finding(kind), mutate=broken_json)
        for name, kind in FINDINGS.items()
    },
    "pictures": Parser(
        count=12_000,
        wholes=_picture_files,
        parse=lambda data, path: normalize_digit(decode_image(io.BytesIO(data), path.name)),
    ),
    "IDX": Parser(count=8000, wholes=_idx_files, parse=_idx),
    "bundles": Parser(count=7000, wholes=_bundles, parse=_bundle),
    "gate files": Parser(count=5000, wholes=_gates, parse=_gate, mutate=_broken_toml),
    "boards' answers": Parser(count=8000, wholes=_board_answers, parse=_board_answer, mutate=broken_json),
    "images": Parser(
        count=3500, wholes=_image_lists, parse=_images, mutate=broken_json, told=(EdgemnistError, ValueError)
    ),
}


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a directory in memory, if the system has one."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="edgemnist-fuzz-", dir=memory if memory.is_dir() else None))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
