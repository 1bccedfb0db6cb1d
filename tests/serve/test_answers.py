"""The endpoints answer what the command line answers, and refuse in words what they cannot answer."""

import base64
import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from edgemnist.ground.pictures import FORMATS
from edgemnist.model.exports.manifest import read_manifest
from tests.conftest import Run
from tests.serve.service import Answer, Service, png, serving, seven

ARTIFACTS = 7


def batch(*pictures: bytes) -> bytes:
    return json.dumps({"images": [base64.b64encode(one).decode() for one in pictures]}).encode()


def bomb(side: int) -> bytes:
    """Return a PNG of a few hundred bytes that says it has side × side pixels."""
    header = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_it_predicts_as_the_command(
    service: Service, drawing: bytes, made_exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(drawing)
    done = edgemnist("predict", "body", "--show", "--json", "--exports", made_exports, "--artifact", "onnx-int8")
    answer = service.ask("/v1/predict?artifact=onnx-int8&show=true", drawing).document
    expected = json.loads(done.stdout)
    assert {name: answer[name] for name in expected} == expected
    assert answer["predictions"][0]["digit"] == 7
    assert all(answer["microseconds"][stage] > 0 for stage in ("decode", "normalize", "classify"))


def test_read_is_as_the_command(
    service: Service, page: bytes, made_exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(page)
    done = edgemnist(
        "read", "body", "--json", "--exports", made_exports, "--artifact", "tflite-int8", "--min-confidence", "0.3"
    )
    answer = service.ask("/v1/read?artifact=tflite-int8&min_confidence=0.3", page, kind="image/jpeg").document
    expected = json.loads(done.stdout)
    assert len(expected.pop("digits")) == len(answer["digits"]) > 10
    assert answer["numbers"] == expected["numbers"]
    assert (answer["artifact"], answer["width"]) == ("tflite-int8", 900)


def test_a_batch_is_answered_in_its_order(service: Service, drawing: bytes) -> None:
    upside_down = png(seven().rotate(180))
    answer = service.ask("/v1/predict", batch(drawing, upside_down, drawing), kind="application/json").document
    first, other, last = answer["predictions"]
    assert [one["source"] for one in answer["predictions"]] == ["images[0]", "images[1]", "images[2]"]
    assert first["probabilities"] == last["probabilities"] != other["probabilities"]


def test_artifacts_are_compared_on_the_same_pixels(service: Service, drawing: bytes, made_exports: Path) -> None:
    names = [one.name for one in read_manifest(made_exports).artifacts]
    query = "&".join(f"artifact={name}" for name in names)
    answer = service.ask(f"/v1/predict?{query}", drawing).document
    assert len(names) == ARTIFACTS
    assert [answer["artifact"], *(one["artifact"] for one in answer["compared"])] == names
    for other in answer["compared"]:
        assert other["agrees"] == (other["predictions"][0]["digit"] == answer["predictions"][0]["digit"])
        alone = service.ask(f"/v1/predict?artifact={other['artifact']}", drawing).document
        assert alone["predictions"] == other["predictions"]


def test_what_can_be_asked_for_is_what_the_manifest_has(service: Service, made_exports: Path) -> None:
    listed = service.ask("/v1/artifacts").document
    recorded = read_manifest(made_exports)
    assert {(one["name"], one["bytes"]) for one in listed["artifacts"]} == {
        (one.name, one.bytes) for one in recorded.artifacts
    }
    assert [one["name"] for one in listed["artifacts"] if one["default"]] == [service.started["artifact"]]
    assert listed["labels"] == recorded.labels
    health = service.ask("/healthz").document
    assert (health["status"], health["release"], health["artifact"]) == ("ok", None, service.started["artifact"])


def test_an_artifact_is_asked_for_in_another_runtime(service: Service, drawing: bytes) -> None:
    answer = service.ask("/v1/predict?artifact=tflite-int8@integer&artifact=tflite-int8@litert", drawing).document
    assert (answer["artifact"], answer["runtime"]) == ("tflite-int8@integer", "integer")
    assert [(one["artifact"], one["runtime"]) for one in answer["compared"]] == [("tflite-int8", "litert")]
    assert answer["compared"][0]["agrees"]
    read = service.ask("/v1/read?artifact=tflite-int8@integer", SEVEN).document
    assert (read["artifact"], read["numbers"][0]["text"]) == ("tflite-int8@integer", "7")
    unknown = {"tflite-int8@intger": "integer", "onnx-int8@litert": None, "onnx-dynamite": "onnx-dynamic", "zzz": None}
    for name, nearest in unknown.items():
        refused = service.ask(f"/v1/predict?artifact={name}", drawing)
        assert refused.status in {400, 404}
        assert refused.document["nearest"] == nearest


def test_what_is_no_digit_is_told_and_so_are_several(service: Service, drawing: bytes) -> None:
    several = Image.new("L", (240, 112), 255)
    several.paste(seven(mode="L"), (0, 0))
    several.paste(seven(mode="L"), (128, 0))
    cross = Image.new("L", (112, 112), 255)
    ImageDraw.Draw(cross).line([(56, 16), (56, 96)], fill=0, width=9)
    ImageDraw.Draw(cross).line([(16, 56), (96, 56)], fill=0, width=9)
    answer = service.ask("/v1/predict", batch(drawing, png(several), png(cross)), kind="application/json").document
    assert [one["verdict"] for one in answer["predictions"]] == ["digit", "several", "no-digit"]
    assert all(isinstance(one["digit"], int) for one in answer["predictions"])


def animated() -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("L", (20, 20), shade) for shade in (0, 255)]
    frames[0].save(stream, format="GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


SEVEN = png(seven())
EMPTY = png(Image.new("L", (99, 99), 255))
JSON = {"kind": "application/json"}
REFUSED: dict[str, tuple[str, bytes | None, dict[str, str], int, str, str]] = {
    "unknown artifact": ("/v1/predict?artifact=tflite-int9", b"x", {}, 404, "unknown-artifact", "'tflite-int8'"),
    "unknown among others": ("/v1/predict?artifact=onnx-int8&artifact=onyx", b"x", {}, 404, "unknown-artifact", "onyx"),
    "unknown to read": ("/v1/read?artifact=tflite-int9", b"x", {}, 404, "unknown-artifact", "'tflite-int8'"),
    "a path": ("/v1/predict?artifact=../../etc/passwd", b"x", {}, 404, "unknown-artifact", "passwd"),
    "a model file": ("/v1/predict?artifact=/etc/model.tflite", b"x", {}, 404, "unknown-artifact", "/etc/model.tflite"),
    "no such path": ("/v2/predict", b"x", {}, 404, "not-found", "/v2/predict"),
    "a slash too many": ("/v1/predict/", b"x", {}, 404, "not-found", "/v1/predict/"),
    "wrong method": ("/v1/predict", None, {}, 405, "method-not-allowed", "GET"),
    "no type": ("/v1/predict", b"x", {"kind": ""}, 415, "unsupported-type", "no Content-Type"),
    "a form": ("/v1/read", b"x", {"kind": "application/x-www-form-urlencoded"}, 415, "unsupported-type", "form"),
    "a batch to read": ("/v1/read", b"{}", JSON, 415, "unsupported-type", "json"),
    "no picture": ("/v1/predict", b"hello", {}, 422, "unreadable-picture", "body is not a picture"),
    "nothing": ("/v1/predict", b"", {}, 422, "unreadable-picture", "body is empty"),
    "half a picture": ("/v1/predict", SEVEN[:300], {}, 422, "unreadable-picture", "damaged"),
    "half a page": ("/v1/read", SEVEN[:300], {}, 422, "unreadable-picture", "damaged"),
    "an empty sheet": ("/v1/predict", EMPTY, {}, 422, "unreadable-picture", "nothing on it"),
    "an animation": ("/v1/predict", animated(), {}, 422, "unreadable-picture", "animated"),
    "a wrong type": ("/v1/predict", b"%PDF-1.7", {"kind": "image/jpeg"}, 422, "unreadable-picture", "PNG"),
    "a decompression bomb": ("/v1/predict", bomb(60_000), {}, 413, "too-large", "33,554,432 pixels"),
    "a smaller bomb": ("/v1/read", bomb(6000), {}, 413, "too-large", "pixels"),
    "no JSON": ("/v1/predict", b"{", JSON, 400, "malformed", "JSON"),
    "nested JSON": ("/v1/predict", b"[" * 100_000, JSON, 400, "malformed", "JSON"),
    "no UTF-8": ("/v1/predict", b'{"images": ["\xff"]}', JSON, 400, "malformed", "JSON"),
    "no Base64": ("/v1/predict", b'{"images": ["***"]}', JSON, 400, "malformed", "images[0]"),
    "an unknown field": ("/v1/predict", b'{"images": [], "x": 1}', JSON, 400, "malformed", "`x`"),
    "an empty batch": ("/v1/predict", batch(), JSON, 400, "malformed", "no images"),
    "one bad among good": ("/v1/predict", batch(SEVEN, b"x"), JSON, 422, "unreadable-picture", "images[1]"),
    "a long batch": ("/v1/predict", batch(*[b"x"] * 257), JSON, 413, "too-large", "257"),
    "a flag": ("/v1/predict?show=maybe", b"x", {}, 400, "malformed", "'maybe'"),
    "a word for a number": ("/v1/read?min_confidence=high", b"x", {}, 400, "wrong-usage", "'high'"),
    "no probability": ("/v1/read?min_confidence=2", b"x", {}, 400, "wrong-usage", "2"),
    "not a number": ("/v1/read?min_confidence=nan", b"x", {}, 400, "wrong-usage", "nan"),
    "two readers": ("/v1/read?artifact=onnx-int8&artifact=tflite-int8", b"x", {}, 400, "malformed", "one artifact"),
    "another host": ("/healthz", None, {"host": "evil.example"}, 421, "wrong-host", "evil.example"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "options", "status", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_answered_is_refused_in_words(
    path: str, body: bytes | None, options: dict[str, Any], status: int, error: str, said: str, service: Service
) -> None:
    answer = service.ask(path, body, **options)
    assert (answer.status, answer.document["error"]) == (status, error)
    assert said in answer.document["message"]
    assert answer.document["hint"] or "must be between" in answer.document["message"]
    # Whoever asks over HTTP has no command line.
    assert "--" not in answer.document["message"] + answer.document["hint"]
    assert_guarded(answer)


def assert_guarded(answer: Answer) -> None:
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/style.css", "/app.js", "/healthz", "/openapi.json", "/v1/artifacts", "/metrics"]
)
def test_every_answer_has_the_security_headers(path: str, service: Service) -> None:
    answer = service.ask(path)
    assert answer.status == 200
    assert_guarded(answer)
    expected = "no-cache" if path in {"/", "/style.css", "/app.js"} else "no-store"
    assert answer.headers["cache-control"] == expected


def test_an_unchanged_file_of_the_page_is_not_sent_again(service: Service) -> None:
    tag = service.ask("/app.js").headers["etag"]
    again = service.ask("/app.js", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    assert service.ask("/app.js", if_none_match='"other"').status == 200


def test_nothing_but_the_page_is_served_from_the_disk(service: Service) -> None:
    for path in ("/../config.py", "/%2e%2e/config.py", "/page/app.js", "/__init__.py", "//etc/passwd"):
        assert service.ask(path).status == 404, path


def test_without_opencv_drawings_are_answered_and_pages_refused_with_the_pip_line(
    made_exports: Path, drawing: bytes, page: bytes, tmp_path: Path
) -> None:
    # As where `edgemnist[tflite,serve]` is installed: to Python, the package is not there.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['cv2'] = None\n")
    with serving(made_exports, env={**os.environ, "PYTHONPATH": str(tmp_path)}) as light:
        assert light.ask("/v1/predict?artifact=tflite-int8", drawing).document["predictions"][0]["digit"] == 7
        refused = light.ask("/v1/read", page, kind="image/jpeg")
    assert refused.status == 501
    assert refused.document["error"] == "missing-dependency"
    assert 'pip install "edgemnist[vision]"' in refused.document["hint"]


def test_what_follows_a_picture_is_told_as_what_it_is(made_exports: Path, tmp_path: Path) -> None:
    # Without bytecode, as in an installation that nobody may write to, an import takes the most memory.
    bare = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    with serving(made_exports, env=bare) as service:
        for format_ in FORMATS:
            assert service.ask("/v1/predict", png(seven())).status == 200
            refused = service.ask("/v1/predict", b"junk")
            assert (refused.status, refused.document["error"]) == (422, "unreadable-picture")
            stream = io.BytesIO()
            seven(mode="RGB").save(stream, format=format_)
            answer = service.ask("/v1/predict", stream.getvalue())
            assert (answer.status, answer.document["predictions"][0]["digit"]) == (200, 7)
