"""The page's own files, read once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

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


def page_files() -> dict[str, PageFile]:
    """Return the files of `page/` by the path under which they are served."""
    files = {}
    for entry in resources.files("edgemnist.serve").joinpath("page").iterdir():
        kind = TYPES.get(entry.name.rpartition(".")[2])
        if kind is None:
            continue
        data = entry.read_bytes()
        # Asked for each time, and answered with 304 if it is the same: a new release shows at once.
        headers = {
            "content-type": kind,
            "cache-control": "no-cache",
            "etag": f'"{hashlib.sha256(data).hexdigest()[:16]}"',
        }
        files["/" if entry.name == "index.html" else f"/{entry.name}"] = PageFile(data, headers)
    return files
