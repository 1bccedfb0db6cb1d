"""Which directory answers: the user's own before the reference, and the reference never without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemnist.exports import Exports, find_exports, open_for_answers, reference_directory
from tests.notices import Notices


@pytest.fixture
def notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notices:
    monkeypatch.chdir(tmp_path)
    return Notices()


def test_the_reference_answers_where_nothing_was_exported_and_says_so(notices: Notices) -> None:
    assert find_exports(None, notices) == reference_directory()
    assert "reference" in notices.messages[0]


def test_a_model_file_that_was_named_answers_itself_without_a_word_of_the_reference(notices: Notices) -> None:
    assert open_for_answers(None, "mine.tflite@litert", notices) is None
    assert notices.messages == []
    assert open_for_answers(None, "tflite-int8", notices) is not None
    assert len(notices.messages) == 1


@pytest.mark.parametrize("left", ["manifest.json", "tflite-int8.tflite"])
def test_what_the_user_exported_comes_first_even_where_the_manifest_was_lost(left: str, notices: Notices) -> None:
    Path("exports").mkdir()
    (Path("exports") / left).touch()
    assert find_exports(None, notices) == Path("exports")
    assert find_exports(Path("elsewhere"), notices) == Path("elsewhere")
    assert notices.messages == []


@pytest.mark.parametrize(
    ("file", "verified", "said"),
    [("verify.json", False, "is used unverified"), ("bench.json", True, "not be the fastest")],
)
def test_a_broken_finding_does_not_keep_a_model_from_answering(
    file: str,
    verified: bool,  # noqa: FBT001 - a parameter of the test
    said: str,
    old_exports: Path,
) -> None:
    (old_exports / file).write_text("{broken")
    notices = Notices()
    exports = Exports.open(old_exports)
    assert exports.best().verified == verified
    assert exports.model(None, notices).name
    (notice,) = [text for text in notices.messages if file in text]
    assert notice.startswith(f"{old_exports / file} is broken: ")
    assert said in notice
