"""The page's endpoints."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.routing import Route, Router

from edgemnist.field.samples import NONE_OF_THESE, Sample, classes_of, label_named, to_review
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.results.samples import GivenLabel, LabelBody, LabelResponse, ReviewItem, ReviewQueue
from edgemnist.ground.web.bodies import JSON, Bodies, media_type
from edgemnist.ground.web.guard import RequestGuard
from edgemnist.ground.web.pages import json_response, page_files, refuse_foreign
from edgemnist.ground.web.refusals import RefusedError, bad_request

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from edgemnist.field.samples.store import SampleStore
    from edgemnist.ground.web.config import Limits, SiteConfig

_MOST_FIGURES: Final = 18
"""Most figures of a sample's number: SQLite's are below 2^63."""


def review_app(store: SampleStore, writer: str, config: SiteConfig) -> ASGIApp:
    """Return the application that shows the samples of a store and takes the labels of a writer."""
    files = page_files("edgemnist.field.review")
    review = Review(store, writer, config.limits)

    async def page(request: Request) -> Response:
        return files[request.url.path].response(request)

    router = Router([
        Route("/v1/samples", review.queue),
        Route("/v1/samples/{id}", review.label, methods=["POST"]),
        *(Route(path, page) for path in files),
    ], redirect_slashes=False)  # fmt: skip
    return RequestGuard(router, config, files.keys())


class Review:
    """The samples shown to one writer, and their labels. The store is read each time: others may write, too."""

    def __init__(self, store: SampleStore, writer: str, limits: Limits) -> None:
        self._store, self._writer, self._bodies = store, writer, Bodies(limits)

    async def queue(self, request: Request) -> Response:
        """List the samples to look at."""
        refuse_foreign(request)
        samples = self._store.samples()
        shown = [_item(one) for one in to_review(samples)]
        classes = list(classes_of(samples, self._store.labels))
        return json_response(ReviewQueue(writer=self._writer, classes=classes, samples=shown, takes=self._store.spec))

    async def label(self, request: Request) -> Response:
        """Take a label."""
        refuse_foreign(request)
        number = _number(request.path_params["id"])
        async with self._bodies.receive(request) as body:
            # A form of another site can send text, but not this without asking first.
            if media_type(request) != JSON:
                raise bad_request("A label is sent as JSON", f"Send Content-Type: {JSON}.")
            try:
                wanted = msgspec.json.decode(body.read(), type=LabelBody).label
            except UNREADABLE as error:
                raise bad_request(f"The body is not a label: {error}", 'Send {"label": "7"}.') from error
        samples = self._store.samples()
        before = next((one for one in samples if one.id == number), None)
        if before is None:
            raise _gone(number)
        known = (*classes_of(samples, self._store.labels), NONE_OF_THESE)
        if wanted is not None and label_named(wanted) not in known:
            raise bad_request(f"{wanted!r} is none of the classes", f"Known: {', '.join(known)}.")
        self._store.label(number, wanted, self._writer, settles=before.disputed and wanted is not None)
        after = next((one for one in self._store.samples() if one.id == number), None)
        if after is None:
            raise _gone(number)
        return json_response(LabelResponse(labels=_given(after), disputed=after.disputed))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_FIGURES):
        raise _gone(text[:_MOST_FIGURES])
    return int(text)


def _gone(number: int | str) -> RefusedError:
    return RefusedError(HTTPStatus.NOT_FOUND, "unknown-sample", f"There is no sample {number}", "Load the page again.")


def _item(sample: Sample) -> ReviewItem:
    return ReviewItem(
        id=sample.id,
        image=sample.pixels,
        at=sample.at,
        source=sample.source,
        artifact=sample.artifact,
        answer=sample.answer,
        confidence=sample.confidence,
        reason=sample.reason,
        labels=_given(sample),
    )


def _given(sample: Sample) -> list[GivenLabel]:
    return [GivenLabel(label=str(one.label), writer=one.writer) for one in sample.labels]
