"""The console blocks of the README and the book, and what each of them needs."""

import functools
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(?P<comments>(?:^<!-- [^\n]* -->\n)*)^```console\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What a reader would type, and in which place."""

    script: str
    """The lines behind `$`, for a shell."""
    needs: frozenset[str]
    """Names from `<!-- needs: … -->` above the block."""
    exit_code: int
    """From `<!-- exit: … -->`, or 0."""


@functools.cache
def _hooks() -> dict[str, Any]:
    return runpy.run_path(str(REPOSITORY / "docs" / "generate.py"))


def read_page(path: Path) -> str:
    """Return a page with its generated parts in their places."""
    page: str = _hooks()["on_page_markdown"](path.read_text(encoding="utf-8"))
    return page


def _blocks_of(path: Path) -> Iterator[tuple[str, Block]]:
    page = read_page(path)
    for number, match in enumerate(_BLOCK.finditer(page), start=1):
        lines = [line.removeprefix("$ ") for line in match["lines"].splitlines() if line.startswith("$ ")]
        said = dict(re.findall(r"<!-- (\w+): (.*) -->", match["comments"]))
        needs = frozenset(said.get("needs", "").replace(",", " ").split())
        yield (
            f"{path.relative_to(REPOSITORY)}:{number}",
            Block(script="\n".join(lines), needs=needs, exit_code=int(said.get("exit", "0"))),
        )


def all_blocks() -> dict[Block, str]:
    """Return every block, and the page that has it first: what two pages have in common need not run twice."""
    found: dict[Block, str] = {}
    for path in PAGES:
        for place, block in _blocks_of(path):
            found.setdefault(block, place)
    return found
