"""What a reviewer is shown, and what first."""

import asyncio
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.field.review.routes import review_app
from edgemnist.field.review.transfer import export_labelled, import_labelled
from edgemnist.field.samples import (
    CORRECTION,
    DISAGREEMENT,
    DOUBTFUL,
    IMPORTED,
    NONE_OF_THESE,
    REFUSED,
    UNIFORM,
    Label,
    Sample,
    classes_of,
    now,
    to_review,
)
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.web.config import SiteConfig
from tests.conftest import run_edgemnist
from tests.notices import Notices
from tests.samples.making import sample_of


def given(*labels: str) -> tuple[Label, ...]:
    """Return labels such as `7 ann`, or `7! ann` from somebody who had seen that labels differ."""
    each = [one.partition(" ") for one in labels]
    return tuple(Label(label.strip("!"), writer, now(), settles="!" in label) for label, _, writer in each)


def test_the_most_suspicious_comes_first_and_what_is_settled_not_at_all() -> None:
    samples = [
        sample_of(0, id=1, reason=UNIFORM, confidence=0.2),
        sample_of(0, id=2, reason=DOUBTFUL, confidence=0.8),
        # The less certain comes first, and then the older.
        sample_of(0, id=10, reason=DOUBTFUL, confidence=0.4),
        sample_of(0, id=3, reason=DOUBTFUL, confidence=0.4),
        sample_of(0, id=4, reason=REFUSED, answer=None),
        sample_of(0, id=5, reason=CORRECTION, labels=given("1 client 10.0.0.5")),
        sample_of(0, id=6, reason=DISAGREEMENT),
        sample_of(0, id=7, reason=UNIFORM, labels=given("1 ann", "2 bob")),
        sample_of(0, id=8, reason=DOUBTFUL, labels=given("1 bob")),
        sample_of(0, id=9, reason=CORRECTION, labels=given("1 client 10.0.0.5", "1 bob")),
        sample_of(0, id=11, reason=IMPORTED, confidence=0.0),
    ]
    assert [one.id for one in to_review(samples)] == [7, 5, 6, 4, 3, 10, 2, 1, 11]


def test_labels_of_other_classes_have_keys_too_and_what_shows_no_class_is_none() -> None:
    nothing = given(f"{NONE_OF_THESE} ann")
    for samples in ([], [sample_of(3)], [sample_of(3, labels=nothing)]):
        assert classes_of(samples) == tuple("0123456789")
    assert classes_of([sample_of(3, answer="b"), sample_of(3, answer=None, labels=given("a ann"))]) == ["a", "b"]
    assert classes_of([sample_of(3, answer="b", labels=nothing)]) == ["b"]


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ((), None),
        (("1 ann", "1 bob"), "1"),
        (("1 ann", "2 bob"), None),
        (("1 ann", "2! bob"), "2"),
        # The last one that knew of the difference counts, and what came after it opens it again.
        (("2! bob", "3! cat"), "3"),
        (("2! bob", "3 cat"), None),
        # Another label of the same writer takes the place of the first.
        (("1 ann", "2 bob", "2 ann"), "2"),
        # What a client says counts until a person says something.
        (("1 client 10.0.0.5",), "1"),
        (("1 client 10.0.0.5", "2 ann"), "2"),
    ],
)
def test_labels_differ_until_somebody_who_knows_it_decides(labels: tuple[str, ...], label: str | None) -> None:
    sample = sample_of(0, labels=given(*labels))
    assert (sample.label, sample.disputed) == (label, bool(labels) and label is None)


def test_the_time_of_a_sample_is_in_utc_to_the_millisecond() -> None:
    assert len(now()) == len("2026-11-26T01:30:00.123Z")
    assert now().endswith("Z")
    assert abs((datetime.fromisoformat(now()) - datetime.now().astimezone()).total_seconds()) < 60


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
def test_another_site_neither_sees_nor_labels_a_sample(headers: dict[str, str], status: int, tmp_path: Path) -> None:
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
def test_no_other_label_is_taken(
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


def drawn(digit: int, number: int) -> Sample:
    """Return a sample on a black ground, as real ones are."""
    image = np.zeros((28, 28), np.uint8)
    image[6:22, 8:20] = np.random.default_rng([digit, number]).integers(0, 256, (16, 12))
    return sample_of(digit, image=image)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A store with ten samples of two digits, one that is none, and one without a label."""
    directory = tmp_path / "samples"
    with SampleStore.open(directory, create=True) as store:
        for number in range(10):
            store.label(store.add(drawn(number % 2, number)) or 0, str(number % 2), "ann")
        store.label(store.add(drawn(7, 0)) or 0, NONE_OF_THESE, "ann")
        store.add(drawn(8, 0))
    return directory


def contents(directory: Path) -> list[tuple[bytes, str | None]]:
    with SampleStore.open(directory) as store:
        return sorted((one.image.tobytes(), one.label) for one in store.samples() if one.label)


def export(directory: Path, out: Path) -> int:
    with SampleStore.open(directory) as store:
        return export_labelled(store.samples(), out)


def import_into(directory: Path, data: Path, writer: str, notices: Notices | None = None) -> int:
    with SampleStore.open(directory, create=True) as store:
        return import_labelled(store, data, writer, notices or Notices())


def test_what_is_exported_comes_back_pixel_for_pixel(labelled: Path, tmp_path: Path) -> None:
    done = run_edgemnist("review", labelled, "--export", "out", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (result["exported"], result["labelled"], result["to_review"]) == (11, 11, 1)
    done = run_edgemnist("review", "again", "--import", "out", "--as", "bob", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["imported"] == 11
    assert contents(tmp_path / "again") == contents(labelled)
    with SampleStore.open(tmp_path / "again") as store:
        assert {(one.reason, one.source, one.labels[0].writer) for one in store.samples()} == {(IMPORTED, "out", "bob")}


def test_what_only_a_client_says_is_not_exported(tmp_path: Path) -> None:
    """Whoever trains on the directory would learn it."""
    given = [Label("1", writer, "2026-11-26", settles=False) for writer in ("client 203.0.113.7", "ann")]
    alone = sample_of(1, id=1, labels=(given[0],))
    confirmed = sample_of(2, id=2, labels=tuple(given))
    assert export_labelled([alone, confirmed], tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out" / "1").iterdir()] == ["000002.png"]
    with pytest.raises(UsageError, match="No sample has a label yet"):
        export_labelled([alone], tmp_path / "none")


def test_importing_twice_adds_nothing_and_another_name_adds_a_label(labelled: Path, tmp_path: Path) -> None:
    export(labelled, tmp_path / "out")
    # As it was called before there were other classes.
    (tmp_path / "out" / NONE_OF_THESE).rename(tmp_path / "out" / "not-a-digit")
    shutil.copytree(tmp_path / "out" / "not-a-digit", tmp_path / "out" / NONE_OF_THESE)
    before = contents(labelled)
    assert [import_into(labelled, tmp_path / "out", writer) for writer in ("ann", "bob", "bob")] == [0, 11, 0]
    assert contents(labelled) == before
    # Of an image with two labels the first counts, however often it is imported.
    once = next((tmp_path / "out" / "0").iterdir())
    shutil.copy(once, tmp_path / "out" / "1" / "again.png")
    notices = Notices()
    assert [import_into(tmp_path / "new", tmp_path / "out", "bob", notices) for _ in range(2)] == [11, 0]
    said = f"{tmp_path / 'out'} has 1 input a second time with another label; the first label counts."
    assert notices.messages == [said] * 2
    assert contents(tmp_path / "new") == before


def test_broken_pictures_are_named_and_left_out_if_that_is_wanted(labelled: Path, tmp_path: Path) -> None:
    export(labelled, tmp_path / "out")
    (tmp_path / "out" / "0" / "cut.png").write_bytes(b"cut")
    done = run_edgemnist("review", "again", "--import", "out", cwd=tmp_path)
    assert (done.returncode, "--skip-broken" in done.stderr, "cut.png" in done.stderr) == (2, True, True)
    done = run_edgemnist("review", "again", "--import", "out", "--skip-broken", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["imported"] == 11
    assert run_edgemnist("review", "again", "--skip-broken", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("label", ["../../elsewhere", "/tmp/elsewhere", "a\\b", "", ".."])
def test_a_label_that_somebody_edited_leads_nowhere_else(label: str, labelled: Path, tmp_path: Path) -> None:
    with SampleStore.open(labelled) as store:
        store.label(store.add(drawn(9, 0)) or 0, label, "eve")
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="No folder can be named after the label"):
        export(labelled, place / "out")
    assert {path.name for path in tmp_path.rglob("*")} == {"samples", "samples.sqlite", "a", "b"}
