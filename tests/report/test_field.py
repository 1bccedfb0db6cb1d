"""How a model does in the field, in the report."""

from pathlib import Path

import msgspec
import pytest

from edgemnist.errors import UsageError
from edgemnist.model.exports import Exports
from edgemnist.pipeline.report.page import write_report
from tests.drift.making import add, after_a_week, bolder, images


@pytest.fixture(scope="module")
def exports() -> Exports:
    return Exports.open("reference")


def test_the_report_says_what_has_changed_in_the_field(exports: Exports, tmp_path: Path) -> None:
    tally = after_a_week()
    add(tally, bolder(images()[600:800]))
    (tmp_path / "health.json").write_bytes(tally.record.encode())
    for name, markdown in (("report.html", False), ("report.md", True)):
        write_report(exports, tmp_path / name, markdown=markdown, samples=[tmp_path / "health.json"])
        page = (tmp_path / name).read_text(encoding="utf-8")
        assert "In the field" in page
        assert "unknown. Changed: " in page
        assert "lately, as its confidence says" in page
        assert "stroke width" in page
        write_report(exports, tmp_path / name, markdown=markdown)
        assert "In the field" not in (tmp_path / name).read_text(encoding="utf-8")


def test_counts_of_a_model_that_is_not_there_are_refused(exports: Exports, tmp_path: Path) -> None:
    record = msgspec.structs.replace(after_a_week().record, sha256="0" * 64)
    (tmp_path / "health.json").write_bytes(record.encode())
    with pytest.raises(UsageError, match="The counts come from a model that is not in"):
        write_report(exports, tmp_path / "report.md", markdown=True, samples=[tmp_path / "health.json"])
