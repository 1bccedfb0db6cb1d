"""The files of a page, and what answers and pages have in common."""

from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edgemnist.ground.results import Result
from edgemnist.ground.storage import sha256
from edgemnist.ground.web.bodies import JSON
from edgemnist.ground.web.refusals import RefusedError

NO_STORE: Final = {"cache-control": "no-store"}
"""For answers that are made for one request; the page's files say how long they keep themselves."""
TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page."""

    data: bytes
    headers: dict[str, str]

    def response(self, request: Request) -> Response:
        """Return the file, or that the client has it."""
        if request.headers.get("if-none-match") == self.headers["etag"]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self.headers)
        return Response(self.data, headers=self.headers)


def page_files(*packages: str) -> dict[str, PageFile]:
    """Return the files of packages' `page/`, and those that all pages share, by the path under which they are served.

    Of two with the same name, the later package's is taken.
    """
    files = {}
    for folder in ("edgemnist.ground.web", *packages):
        for entry in resources.files(folder).joinpath("page").iterdir():
            kind = TYPES.get(entry.name.rpartition(".")[2])
            if kind is None:
                continue
            data = entry.read_bytes()
            # Asked for each time, and answered with 304 if it is the same: a new release shows at once.
            headers = {"content-type": kind, "cache-control": "no-cache", "etag": f'"{sha256(data)[:16]}"'}
            files["/" if entry.name == "index.html" else f"/{entry.name}"] = PageFile(data, headers)
    return files


def json_response(result: Result) -> Response:
    """Return an answer that was made for one request."""
    return Response(msgspec.json.encode(result), headers={**NO_STORE, "content-type": JSON})


def refuse_foreign(request: Request) -> None:
    """Raise RefusedError for a request that the page of another site makes.

    Browsers say so in `Sec-Fetch-Site`, over HTTPS and to this machine, and in `Origin`. Programs say neither.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = request.headers.get("host", "")
    if site not in {None, "same-origin", "none"} or (
        site is None and origin is not None and origin.lower().partition("://")[2] != own.lower()
    ):
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "foreign-page",
            "The request comes from the page of another site",
            "Use the page that this service shows.",
        )
