"""What goes into a report and what does not, and the form for a pull request."""

import dataclasses
import itertools
import json
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from edgemnist.errors import MissingDependencyError
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.verdict import UNKNOWN, Verdict
from edgemnist.ground.results.verify import ValueFigures
from edgemnist.model.exports import Exports
from edgemnist.model.exports.choose import choose
from edgemnist.pipeline.report.figures import _draw_trade_off, _figure, apart, trade_off_svg
from edgemnist.pipeline.report.page import html_page, read_report_data, write_report
from edgemnist.pipeline.train.network import training_command
from tests.bench.machine import latency, parity
from tests.conftest import Run
from tests.verify.damage import flip_bits_in_the_middle, replace_artifact


def test_figures_of_a_file_that_has_changed_since_are_left_out(exports: Path) -> None:
    before = read_report_data(Exports.open(exports))
    replace_artifact(exports, "onnx-float32", flip_bits_in_the_middle((exports / "onnx-float32.onnx").read_bytes()))
    after = read_report_data(Exports.open(exports))
    for facts, known in ((before, True), (after, False)):
        assert (facts.parity("onnx-float32") is not None) == known
        assert (facts.latency("onnx-float32") is not None) == known


def test_a_report_mixes_no_two_models(made_exports: Path, exports: Path) -> None:
    for name in ("model.keras", "training.json"):
        shutil.copy(made_exports / name, exports)
    facts = read_report_data(Exports.open(exports))
    assert facts.training is not None
    assert facts.training.hidden == [128]
    assert (facts.golden, facts.verified, facts.decision) == (None, None, None)
    assert (facts.headline(), facts.missing()[0]) == ("Nothing to ship", f"edgemnist export --exports {exports}")
    assert "model.keras has changed since the export" in facts.warnings()[0]


def test_where_no_gate_is_known_to_be_passed_nothing_else_is_said(known_exports: Path) -> None:
    facts = read_report_data(Exports.open(known_exports))
    assert facts.verified is not None
    assert facts.benched is not None
    artifacts = [
        msgspec.structs.replace(one, **Verdict(outcome=UNKNOWN, reasons=["nobody can tell", one.name]).said)
        for one in facts.verified.artifacts
    ]
    verified = msgspec.structs.replace(facts.verified, artifacts=artifacts)
    page = html_page(dataclasses.replace(facts, verified=verified, decision=choose(artifacts, facts.benched.results)))
    assert "<h1>Not known what to ship</h1>" in page
    assert "nobody can tell" in page


def test_the_same_facts_give_the_same_page(known_exports: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        write_report(Exports.open(known_exports), tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_page_lies_beside_the_artifacts_and_a_broken_record_names_its_file(exports: Path, edgemnist: Run) -> None:
    done = edgemnist("report", "--exports", exports, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    page = exports / "report.html"
    assert (Path(document["file"]), document["bytes"]) == (page, page.stat().st_size)
    page.unlink()
    (exports / "bench.json").write_text("{")
    done = edgemnist("report", "--exports", exports)
    assert (done.returncode, "bench.json" in done.stderr, page.exists()) == (2, True, False)


def test_markdown_has_a_table_that_github_draws(known_exports: Path, tmp_path: Path) -> None:
    write_report(Exports.open(known_exports), tmp_path / "report.md", markdown=True)
    text = (tmp_path / "report.md").read_text()
    facts = read_report_data(Exports.open(known_exports))
    assert text.startswith(f"## edgemnist: Ship {facts.recommended}\n")
    rows = [line for line in text.split("<details>")[0].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(facts.models())
    assert len({row.count("|") for row in rows}) == 1
    assert f"| **{facts.recommended}** |" in text
    assert "$ edgemnist train --recipe baseline --hidden 8 --epochs 3 --batch-size 128 --seed 1\n" in text
    assert facts.training is not None
    theirs = msgspec.structs.replace(facts.training.data, source="pictures in my signs/")
    shown = msgspec.structs.replace(facts.training, data=theirs, input=InputSpec.of_range((32, 20, 3), "0..1"))
    assert training_command(shown).endswith(" --seed 1 --data 'my signs' --input 32x20x3")


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


def test_labels_keep_their_order_and_their_distance() -> None:
    placed = apart([0.5, 0.5, 0.1, 0.52], 0.1)
    assert sorted(range(4), key=placed.__getitem__) == [2, 0, 1, 3]
    ordered = sorted(placed)
    assert all(above - below >= 0.1 - 1e-9 for below, above in itertools.pairwise(ordered))
    assert apart([0.2, 0.8], 0.1) == pytest.approx([0.2, 0.8])
    # None is above the top of the axes.
    assert apart([0.98, 0.98, 0.98, 0.1], 0.1)[:3] == pytest.approx([0.8, 0.9, 1.0])


@pytest.mark.parametrize(
    ("outcome", "word", "said"),
    [("missed", "fail", "missed the gate"), ("unknown", "unknown", "not known to pass the gate")],
)
def test_what_is_unknown_has_neither_passed_nor_missed(exports: Path, outcome: str, word: str, said: str) -> None:
    found = Exports.open(exports).findings.verify
    assert found is not None
    first, second, *others = found.result.artifacts
    replace, few = msgspec.structs.replace, ["only 5 images, and 200 are needed to judge"]
    verdicts = [replace(one.verdict, outcome=outcome, reasons=few) for one in (first, second)]
    judged = [replace(one, passed=False, reasons=few, verdict=verdicts.pop(0)) for one in (first, second)]
    result = replace(found.result, artifacts=[*judged, *others], passed=False)
    Exports.open(exports).findings.save_verification(result)
    write_report(Exports.open(exports), exports / "report.md", markdown=True)
    text = (exports / "report.md").read_text()
    (line,) = [line for line in text.splitlines() if "only 5 images" in line]
    assert f"** {said}: only 5 images" in line
    assert all(one.name in line for one in judged)
    rows = [line for line in text.splitlines() if line.split("|")[1:2] == [f" {first.name} "]]
    assert rows[0].endswith(f"| {word} |")


def test_how_far_numbers_are_off_is_no_accuracy_and_is_written_whole() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    off = ValueFigures(largest=0.02, mean=0.01, differing=1, spread=1)
    row = msgspec.structs.replace(parity("c-int8"), accuracy=None, values=off)
    one = (row, latency("c-int8", 3.0, 8000))
    assert "ccuracy" not in trade_off_svg([one], None, "row")
    with _figure(3.4) as figure:
        axes = figure.subplots()
        _draw_trade_off(axes, [one], None, "row")
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]  # Matplotlib's
        label = axes.yaxis.label.get_window_extent()
        assert figure.bbox.y0 <= label.y0 < label.y1 <= figure.bbox.y1


@pytest.mark.parametrize("least", [27.3, 1523.1])
@pytest.mark.parametrize("factor", [1, 1.0001, 1.05, 1.5, 3, 6.4, 30])
def test_close_latencies_do_not_write_over_each_other(factor: float, least: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names = ("tflite-int8@native", "onnx-float32@onnxruntime", "onnx-dynamic")
    candidates = [(parity(name, 0.9), latency(name, least * factor**index, 8000)) for index, name in enumerate(names)]
    with _figure(3.4) as figure:
        axes = figure.subplots()
        _draw_trade_off(axes, candidates, names[0], "row")
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]  # Matplotlib's
        low, high = axes.get_xlim()
        inside = [one for one in axes.xaxis.get_major_ticks() if low <= one.get_loc() <= high]
        boxes = sorted((one.label1.get_window_extent() for one in inside), key=lambda box: box.x0)
    assert len(boxes) > 1
    assert all(one.x1 + 4 < other.x0 for one, other in itertools.pairwise(boxes))
