"""The review without a browser: which requests it takes, and into which store."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgemnist.field.review.routes import review_app
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.web.config import SiteConfig
from tests.samples.making import sample_of

HOST = "localhost:8001"


def ask(
    store: SampleStore, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b'{"label": "7"}'
) -> tuple[int, Any]:
    """Send one request to the application, a label if it is a POST."""
    answer: list[dict[str, Any]] = []
    sent = {"host": HOST, "content-type": "application/json", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 5),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    app = review_app(store, "ann", SiteConfig())
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]  # plain dictionaries, as the ASGI server's
    return answer[0]["status"], json.loads(b"".join(part.get("body", b"") for part in answer[1:]))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": f"http://{HOST}"}, 200),
        # A proxy that speaks HTTPS and asks under another name; the browser knows better.
        ({"origin": "https://digits.example", "sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8000"}, 403),
        ({"origin": "http://evil.example/localhost:8001"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": f"http://{HOST}", "sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_the_page_of_another_site_neither_sees_a_sample_nor_labels_one(
    headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        store.add(sample_of(1))
        for method, path in (("GET", "/v1/samples"), ("POST", "/v1/samples/1")):
            answered, document = ask(store, method, path, headers)
            assert answered == status, path
            assert (document.get("error") == "foreign-page") == (status == 403)
        assert len(store.samples()[0].labels) == (status == 200)


NO_LABEL = {
    "none of the classes": ("1", b'{"label": "x"}', {}, 400),
    "a number": ("1", b'{"label": 7}', {}, 400),
    "somebody else's": ("1", b'{"label": "7", "writer": "eve"}', {}, 400),
    "no object": ("1", b"[", {}, 400),
    "no UTF-8": ("1", b'{"label": "\xff"}', {}, 400),
    "a form": ("1", b'{"label": "7"}', {"content-type": "text/plain"}, 400),
    "of no sample": ("99", b'{"label": "7"}', {}, 404),
    "of no number": ("x", b'{"label": "7"}', {}, 404),
    "of a long number": ("9" * 40, b'{"label": "7"}', {}, 404),
    "large": ("1", b"", {"content-length": str(2**25)}, 413),
    "to another name": ("1", b'{"label": "7"}', {"host": "evil.example"}, 421),
}


@pytest.mark.parametrize(("number", "body", "headers", "status"), NO_LABEL.values(), ids=NO_LABEL)
def test_what_is_no_label_is_refused(
    number: str, body: bytes, headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        store.add(sample_of(1))
        answered, document = ask(store, "POST", f"/v1/samples/{number}", headers, body)
        assert answered == status
        assert document["message"]
        assert store.samples()[0].labels == ()


def test_a_label_for_a_store_that_is_gone_is_refused_and_only_the_log_says_where_it_was(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        store.add(sample_of(1))
        shutil.rmtree(tmp_path / "samples")
        status, document = ask(store, "POST", "/v1/samples/1")
    assert (status, document["error"]) == (503, "unusable-samples")
    assert str(tmp_path) not in json.dumps(document)
