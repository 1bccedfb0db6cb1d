"""What goes into a report and what does not, and the form for a pull request."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import MissingDependencyError
from edgemnist.exports import Exports
from edgemnist.report.data import read_report_data
from edgemnist.report.figures import apart
from edgemnist.report.page import html_page, write_report
from tests.conftest import Run, run_edgemnist
from tests.verify.damage import edit_manifest, flip_bits_in_the_middle, replace_artifact


def test_figures_of_a_file_that_has_changed_since_are_left_out(known_exports: Path, exports: Path) -> None:
    for name in ("verify.json", "bench.json"):
        (exports / name).write_bytes((known_exports / name).read_bytes())
    before = read_report_data(Exports.open(exports))
    replace_artifact(exports, "onnx-int8", flip_bits_in_the_middle((exports / "onnx-int8.onnx").read_bytes()))
    after = read_report_data(Exports.open(exports))
    for facts, known in ((before, True), (after, False)):
        assert (facts.parity("onnx-int8") is not None) == known
        assert (facts.latency("onnx-int8") is not None) == known


def test_where_the_error_comes_from_is_asked_for_unless_there_is_nothing_to_compare(
    known_exports: Path, exports: Path
) -> None:
    found = Exports.open(known_exports).findings.verify
    assert found is not None
    assert "Where the error comes from" in html_page(read_report_data(Exports.open(known_exports)))
    assert not any("verify --layers" in command for command in read_report_data(Exports.open(known_exports)).missing())
    Exports.open(exports).findings.save_verification(msgspec.structs.replace(found.result, layers=[]))
    assert f"edgemnist verify --layers --exports {exports}" in read_report_data(Exports.open(exports)).missing()
    edit_manifest(
        exports,
        lambda manifest: msgspec.structs.replace(manifest, artifacts=[manifest.artifact("tflite-int8")]),
    )
    assert not [command for command in read_report_data(Exports.open(exports)).missing() if "verify" in command]


def test_the_same_facts_give_the_same_page(known_exports: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        write_report(Exports.open(known_exports), tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_page_is_written_beside_the_artifacts_and_says_so(exports: Path, edgemnist: Run) -> None:
    done = edgemnist("report", "--exports", exports, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert Path(document["file"]) == exports / "report.html"
    assert document["bytes"] == (exports / "report.html").stat().st_size


def test_markdown_has_a_table_that_github_draws(known_exports: Path, tmp_path: Path) -> None:
    write_report(Exports.open(known_exports), tmp_path / "report.md", markdown=True)
    text = (tmp_path / "report.md").read_text()
    facts = read_report_data(Exports.open(known_exports))
    assert text.startswith(f"## edgemnist: Ship {facts.recommended}\n")
    rows = [line for line in text.split("<details>")[0].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(facts.models())
    assert any("onnx-float32@openvino" in row for row in rows), "a second runtime has a row of its own"
    assert len({row.count("|") for row in rows}) == 1
    assert f"| **{facts.recommended}** |" in text
    assert "$ edgemnist export" in text


def test_markdown_needs_neither_jinja_nor_matplotlib_and_the_page_says_how_to_get_them(
    known_exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, package, None)
    write_report(Exports.open(known_exports), tmp_path / "report.md", markdown=True)
    with pytest.raises(MissingDependencyError) as caught:
        write_report(Exports.open(known_exports), tmp_path / "report.html")
    assert 'pip install "edgemnist[report]"' in caught.value.hint


def test_names_and_labels_are_shown_as_text_and_never_become_markup(exports: Path, known_exports: Path) -> None:
    for name in ("verify.json", "bench.json"):
        text = (known_exports / name).read_text()
        (exports / name).write_text(text.replace('"os": "', '"os": "<script>alert(1)</script>'))
    page = Path(write_report(Exports.open(exports)).file).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_broken_record_is_an_error_that_names_the_file(exports: Path) -> None:
    (exports / "bench.json").write_text("{")
    done = run_edgemnist("report", "--exports", exports, cwd=exports.parent)
    assert done.returncode == 2
    assert "bench.json" in done.stderr
    assert not (exports / "report.html").exists()


def test_labels_keep_their_order_and_their_distance() -> None:
    placed = apart([0.5, 0.5, 0.1, 0.52], 0.1)
    assert sorted(range(4), key=placed.__getitem__) == [2, 0, 1, 3]
    ordered = sorted(placed)
    assert all(above - below >= 0.1 - 1e-9 for below, above in itertools.pairwise(ordered))
    assert apart([0.2, 0.8], 0.1) == pytest.approx([0.2, 0.8])


def test_throughputs_of_other_batch_sizes_say_so(known_exports: Path) -> None:
    facts = read_report_data(Exports.open(known_exports))
    assert facts.benched is not None
    assert "images/s in batches of 1,000" in html_page(facts)
    first, *others = facts.benched.results
    mixed = [msgspec.structs.replace(first, batch_size=10), *others]
    page = html_page(replace(facts, benched=msgspec.structs.replace(facts.benched, results=mixed)))
    assert "images/s in batches" not in page
    assert f"{first.throughput_per_s:,.0f} in batches of 10<" in page


def test_a_table_that_scrolls_says_so_and_a_matrix_of_many_classes_is_small(known_exports: Path) -> None:
    page = html_page(read_report_data(Exports.open(known_exports)))
    assert "Scroll sideways for more" in page
    assert 'class="confusion"' in page
    facts = read_report_data(Exports.open(known_exports))
    assert facts.golden is not None
    letters = tuple("abcdefghijklmnopqrstuvwxyz")
    wide = np.zeros((len(facts.golden.labels), 26), np.float32)
    wide[:, :10] = facts.golden.probabilities
    golden = replace(facts.golden, class_labels=letters, probabilities=wide)
    manifest = msgspec.structs.replace(facts.manifest, labels=list(letters))
    assert 'class="confusion many"' in html_page(replace(facts, golden=golden, manifest=manifest))
