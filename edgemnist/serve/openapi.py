"""The OpenAPI document, made from the same structs that the service answers with."""

from typing import Any, Final

from edgemnist import __version__
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE
from edgemnist.digits.results import PredictResponse, ReadResult
from edgemnist.ground.results.pictures import (
    ArtifactsResponse,
    CorrectionBody,
    CorrectionResponse,
    ErrorResponse,
    HealthResponse,
    PredictBody,
    schemas,
)
from edgemnist.model.task import Task, default_task
from edgemnist.serve.config import PictureLimits

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
    403: "The request comes from a page of another site.",
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


def document(limits: PictureLimits, task: Task, *, collects: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a task's models, with the corrections where they are kept."""
    height, width = (*task.input.shape, 1)[:2]
    given = f"{width}×{height} pixels" if task.input.is_picture else task.input.words()
    name = {"type": "string"}
    several = {"type": "array", "items": name, "maxItems": 16}
    number = {"type": "number", "minimum": 0, "maximum": 1, "default": DEFAULT_MIN_CONFIDENCE}
    artifact = "NAME or NAME@RUNTIME of an artifact; the fastest verified one by default."
    compared = {"style": "form", "explode": True}
    predict = [
        _parameter("artifact", f"{artifact} Each further one is compared.", several) | compared,
        _parameter("show", f"Whether the answer has the {given} that the model was given.", _flag("false")),
        _parameter("collect", "Whether doubtful inputs may be kept, if the service keeps samples.", _flag("true")),
    ]
    read = [
        _parameter("artifact", artifact, name),
        _parameter("min_confidence", "Below this a digit is refused.", number),
    ]
    picture = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _PICTURES}
    asks = "Answer each picture, or input of numbers"
    both = (picture if task.input.is_picture else {}) | _json("PredictBody")
    paths = {
        "/v1/predict": _operation("predict", asks, "PredictResponse", _WORK, parameters=predict, body=both),
        "/v1/read": _operation("read", "Read all digits on a page", "ReadResult", _WORK, parameters=read, body=picture),
        "/v1/artifacts": _operation("artifacts", "List the artifacts", "ArtifactsResponse", (503,)),
        "/healthz": _operation("health", "Tell whether the service is healthy", "HealthResponse", ()),
        "/metrics": _operation("metrics", "Metrics for Prometheus", "", ()),
    }
    if task.name not in {"", default_task().name}:
        del paths["/v1/read"]
    paths["/healthz"]["get"]["security"] = []
    text = {"text/plain": {"schema": {"type": "string"}}}
    paths["/metrics"]["get"]["responses"]["200"]["content"] = text
    components = schemas(ArtifactsResponse, ErrorResponse, HealthResponse, PredictBody, PredictResponse, ReadResult)
    if collects:
        refusals = (400, 403, 408, 413, 415, 503)
        paths["/v1/corrections"] = _operation(
            "correct", "Say what an input is", "CorrectionResponse", refusals, body=_json("CorrectionBody")
        )
        components |= schemas(CorrectionBody, CorrectionResponse)
    for kind in ("images", "inputs"):
        components["PredictBody"]["properties"][kind] |= {"minItems": 1, "maxItems": limits.max_images}
    description = (
        f"Answers {task.input.words()}{', made of pictures of any size' * task.input.is_picture}. "
        f"A body has at most {limits.max_bytes:,} bytes, and its pictures {limits.max_pixels:,} pixels."
    )
    return {
        "openapi": VERSION,
        "info": {"title": "edgemnist", "version": __version__, "description": description},
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(
    name: str,
    summary: str,
    result: str,
    refusals: tuple[int, ...],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what a path takes: a POST where it has a body, else a GET."""
    responses = {"200": {"description": "Done.", "content": _json(result)}}
    for status in sorted((*_ALWAYS, *refusals)):
        responses[str(status)] = {"description": _REFUSALS[status], "content": _json("ErrorResponse")}
    operation = {"operationId": name, "summary": summary, "responses": responses, "parameters": parameters or []}
    return {"post": operation | {"requestBody": {"required": True, "content": body}}} if body else {"get": operation}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _flag(default: str) -> dict[str, Any]:
    return {"type": "string", "enum": ["true", "false"], "default": default}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
