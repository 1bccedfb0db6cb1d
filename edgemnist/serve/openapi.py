"""The OpenAPI document, made from the same structs that the service answers with."""

from __future__ import annotations

from typing import Any, Final

from edgemnist import __version__
from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE
from edgemnist.results.pictures import (
    ArtifactsResponse,
    CorrectionBody,
    CorrectionResponse,
    ErrorResponse,
    HealthResponse,
    PredictBody,
    PredictResponse,
    ReadResult,
    schemas,
)
from edgemnist.serve.config import Limits

VERSION: Final = "3.1.0"
_PICTURES: Final = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
)
_REFUSALS: Final = {
    400: "The request does not follow this document.",
    401: "The token is missing or wrong.",
    404: "The artifact is unknown; `nearest` is the one with the most similar name.",
    405: "The path takes another method.",
    408: "The body did not arrive in time.",
    413: "The body has too many bytes, pixels or pictures.",
    415: "The type of the body is not supported.",
    421: "The service does not answer to the name in the Host header.",
    422: "The picture cannot be read.",
    429: "The client sends too many requests, or has given as many corrections as one client may.",
    501: "A package that this needs is not installed.",
    503: "The service is busy, the artifact's file is damaged, or the correction cannot be written.",
}
_ALWAYS: Final = (401, 405, 421, 429)
_WORK: Final = (400, 404, 408, 413, 415, 422, 501, 503)


def document(limits: Limits, *, collects: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, with the corrections where they are kept."""
    artifact = {
        "name": "artifact",
        "in": "query",
        "description": "NAME or NAME@RUNTIME of an artifact; the fastest verified one by default.",
        "schema": {"type": "string"},
    }
    compare = {
        **artifact,
        "description": "NAME or NAME@RUNTIME; the fastest verified one by default. Each further one is compared.",
        "schema": {"type": "array", "items": {"type": "string"}, "maxItems": 16},
        "style": "form",
        "explode": True,
    }
    show = {
        "name": "show",
        "in": "query",
        "description": "Whether the answer has the 28×28 pixels that the model was given.",
        "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
    }
    collect = {
        "name": "collect",
        "in": "query",
        "description": "Whether doubtful digits may be kept, if the service keeps samples.",
        "schema": {"type": "string", "enum": ["true", "false"], "default": "true"},
    }
    confidence = {
        "name": "min_confidence",
        "in": "query",
        "description": "Below this a digit is refused.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1, "default": DEFAULT_MIN_CONFIDENCE},
    }
    picture = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _PICTURES}
    batch = {"application/json": {"schema": _reference("PredictBody")}}
    components = schemas(ArtifactsResponse, ErrorResponse, HealthResponse, PredictBody, PredictResponse, ReadResult)
    corrections: dict[str, Any] = {}
    if collects:
        components |= schemas(CorrectionBody, CorrectionResponse)
        correction = {"application/json": {"schema": _reference("CorrectionBody")}}
        corrections["/v1/corrections"] = {
            "post": _operation(
                "correct", "Say what a digit is", "CorrectionResponse", (400, 408, 413, 415, 503), body=correction
            )
        }
    components["PredictBody"]["properties"]["images"] |= {"minItems": 1, "maxItems": limits.max_images}
    return {
        "openapi": VERSION,
        "info": {
            "title": "edgemnist",
            "version": __version__,
            "description": "Reads handwritten digits from pictures. "
            f"A body has at most {limits.max_bytes:,} bytes, and its pictures {limits.max_pixels:,} pixels.",
        },
        "security": [{}, {"token": []}],
        "paths": {
            "/v1/predict": {
                "post": _operation(
                    "predict", "Read a digit from each picture", "PredictResponse", _WORK,
                    parameters=[compare, show, collect], body={**picture, **batch},
                )
            },
            "/v1/read": {
                "post": _operation(
                    "read", "Read every digit on a page", "ReadResult", _WORK,
                    parameters=[artifact, confidence], body=picture,
                )
            },
            **corrections,
            "/v1/artifacts": {"get": _operation("artifacts", "List the artifacts", "ArtifactsResponse", (503,))},
            "/healthz": {
                "get": _operation("health", "Tell whether the service is healthy", "HealthResponse", (), open_=True)
            },
            "/metrics": {"get": _text("metrics", "Metrics for Prometheus")},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _operation(
    name: str,
    summary: str,
    result: str,
    refusals: tuple[int, ...],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    open_: bool = False,
) -> dict[str, Any]:
    refused = {"application/json": {"schema": _reference("ErrorResponse")}}
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": _reference(result)}}},
            **{
                str(status): {"description": _REFUSALS[status], "content": refused}
                for status in sorted((*_ALWAYS, *refusals))
            },
        },
    }
    if open_:
        operation["security"] = []
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _text(name: str, summary: str) -> dict[str, Any]:
    operation = _operation(name, summary, "", ())
    operation["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return operation


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
