"""The book builds without a warning, needs no network, fits a phone, and leaves nothing out."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import edgemnist
from edgemnist.app import COMMANDS
from edgemnist.ground import results
from edgemnist.ground.results import Result
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.formats import artifact_names
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.pipeline.verify.gate import GATES, LIMITS
from tests.conftest import REPOSITORY, run_edgemnist
from tests.docs.blocks import PAGES, read_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
TEXTS = [*PAGES, *(REPOSITORY / name for name in ("CHANGELOG.md", "Makefile", "mkdocs.yml", "pyproject.toml"))]
CONTENTS = {path: path.read_text(encoding="utf-8") for path in TEXTS}
PHONE = 360


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return site


class Loaded(HTMLParser):
    """Keeps what a page loads from elsewhere, and the ids in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        names = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
        if tag in names and (address := values.get(names[tag])) and values.get("rel") != "canonical":
            self.addresses.append(address)


def test_the_drawing_of_the_architecture_shows_every_command_wing_and_folder() -> None:
    shown = set(re.findall(r"<text[^>]*>([\w.-]+)</text>", (DOCS / "images" / "architecture.svg").read_text("utf-8")))
    package = Path(edgemnist.__file__).parent
    wings = {path.parent.name for path in package.glob("*/__init__.py")}
    folders = {path.parent.name for wing in wings - {"serve"} for path in package.glob(f"{wing}/*/__init__.py")}
    assert len(wings) == 8
    assert COMMANDS.keys() | wings | folders <= shown


def test_nothing_in_the_book_comes_from_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 20
    for page in pages:
        addresses = Loaded(page).addresses
        assert addresses, page
        assert [one for one in addresses if re.match(r"(https?:)?//", one)] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == []


def test_no_page_is_wider_than_a_phone(site: Path, browser: Chrome) -> None:
    metrics = {"width": PHONE, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for page in sorted(site.rglob("*.html")):
        # That page is for a server, and finds its style below its root.
        if page.name == "404.html":
            continue
        browser.get(page.as_uri())
        width, broken = browser.execute_script(
            "return [document.scrollingElement.scrollWidth, [...document.images].filter(i => !i.naturalWidth).length]"
        )
        assert (width, broken) == (PHONE, 0), page.name


def test_the_reference_has_every_command_document_limit_and_public_name(site: Path) -> None:
    ids = {name: Loaded(site / "reference" / f"{name}.html").ids for name in ("commands", "json", "python")}
    commands = re.findall(r"│ ([a-z]+)  ", run_edgemnist("--help", cwd=REPOSITORY).stdout)
    assert len(commands) >= 15
    for name in commands:
        assert {f"edgemnist-{name}", f"edgemnist-{name}-list"} & ids["commands"], name
    for module in pkgutil.iter_modules(results.__path__):
        importlib.import_module(f"edgemnist.ground.results.{module.name}")
    importlib.import_module("edgemnist.digits.results")
    documents = {kind.__name__.lower() for kind in Result.__subclasses__() if ".results" in kind.__module__}
    assert {"verifyresult", "benchresult", "predictresult"} <= documents <= ids["json"]
    for name in edgemnist.__all__:
        if not name.startswith("_"):
            assert any(one.endswith(f".{name}") for one in ids["python"]), name
    gates = read_page(DOCS / "reference" / "gates.md")
    for name in (*LIMITS, *GATES):
        assert f"`{name}`" in gates
    artifacts = read_page(DOCS / "reference" / "artifacts.md")
    for name in (*artifact_names(), *RUNTIMES):
        assert f"`{name}`" in artifacts


def test_every_field_of_a_document_is_there_with_what_it_means() -> None:
    page = read_page(DOCS / "reference" / "json.md")
    artifact = page.partition("### ArtifactParity")[2].partition("\n###")[0]
    assert "| `flips` | integer | Images whose label differs from the Keras model's. |" in artifact
    assert "| `replay` | [Replay](#replay) or null |" in artifact
    verify = page.partition("## VerifyResult")[2].partition("\n##")[0]
    assert "| `artifacts` | array of [ArtifactParity](#artifactparity) |" in verify


def fields(value: Any, said: set[str], path: str = "") -> set[str]:
    if path in said or not isinstance(value, dict | list):
        return {path}
    parts = [("[]", one) for one in value] if isinstance(value, list) else [(f".{name}", value[name]) for name in value]
    return set().union(*(fields(one, said, (path + name).strip(".")) for name, one in parts))


def test_every_exit_code_is_explained() -> None:
    page = read_page(DOCS / "reference" / "commands.md")
    for code in (0, 1, 2, 3, 130):
        assert re.search(rf"^\| {code} \| \w", page, flags=re.MULTILINE), code


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(CONTENTS[README]) <= 9_000


def test_nothing_is_named_that_a_stranger_cannot_have() -> None:
    named = {path: re.findall(r"\.\./shared|/(?:work|root|tmp|home)/\S*", CONTENTS[path]) for path in TEXTS}
    assert [one for one in named.items() if one[1]] == []


def test_words_that_no_native_speaker_would_write_do_not_come_back() -> None:
    sources = [file for name in ("edgemnist", "benchmarks", "tools") for file in (REPOSITORY / name).rglob("*.py")]
    for file in (*TEXTS, *sources):
        said = re.findall(r"\banew\b|\bmak(?:es?|ing) no sense\b|\bwhere there (?:is|are)\b", file.read_text("utf-8"))
        assert not said, f"{file} says {said[0]!r}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    """Of the files outside the book: MkDocs checks its own."""
    text = CONTENTS[REPOSITORY / name]
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    for link in (one for pair in links for one in pair if one):
        target, _, anchor = link.partition("#")
        if link.startswith("https://"):
            continue
        assert (REPOSITORY / target).is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (REPOSITORY / target).read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, link


def test_what_the_pages_list_is_what_there_is() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    guide = CONTENTS[DOCS / "guides" / "raspberry-pi.md"].partition("## Which extra?")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z]+)` ", guide, flags=re.MULTILINE)) == extras - {"dev"}
    targets = set(re.findall(r"^([a-z-]+):", CONTENTS[REPOSITORY / "Makefile"], flags=re.MULTILINE))
    listed = re.findall(r"^\| `make ([a-z-]+)` ", CONTENTS[DOCS / "development.md"], flags=re.MULTILINE)
    assert set(listed) == targets


EXAMPLES = sorted(
    {
        example
        for path in PAGES
        if path.name != "CONTRIBUTING.md"
        for example in re.findall(r"^```python\n(.*?)^```", CONTENTS[path], flags=re.DOTALL | re.MULTILINE)
    }
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_python_example_runs(
    example: str, made_exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exports").symlink_to(made_exports)
    monkeypatch.chdir(tmp_path)
    golden = read_golden(made_exports, read_manifest(made_exports))
    exec(compile(example, "example.py", "exec"), {"images": golden.images})


def test_the_json_examples_are_json() -> None:
    found = [
        example
        for path in PAGES
        for example in re.findall(r"^```json\n(.*?)^```", CONTENTS[path], flags=re.DOTALL | re.MULTILINE)
    ]
    assert len(found) >= 2
    for example in found:
        assert json.loads(example)["schema_version"] == 1
