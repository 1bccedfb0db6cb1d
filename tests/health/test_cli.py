"""How the command says what is said about a model."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from edgemnist.field.health.cli import health_page
from edgemnist.field.health.run import report_on
from edgemnist.field.samples.store import SampleStore
from edgemnist.model.answers import HEALTH_FILE
from tests.conftest import run_edgemnist
from tests.drift.making import after_a_week, bolder, images
from tests.health.test_health import changed, drawn, of, quiet
from tests.render.test_narrow import lines_of


def test_exit_1_is_an_alarm_without_labels_and_the_crops_are_shown(tmp_path: Path) -> None:
    place = tmp_path / "samples"
    with SampleStore.open(place, create=True) as store:
        for one in bolder(images()[:20]):
            store.add(drawn(1, None, image=one))
    (place / HEALTH_FILE).write_bytes(changed().record.encode())
    done = run_edgemnist("health", "--sheet", "changed.png", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    words = " ".join(done.stdout.split())
    assert "Unknown. Changed: " in words
    assert "label samples of the even draw. Next: edgemnist review" in words
    assert "█" in done.stdout
    assert (tmp_path / "changed.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "well.json").write_bytes(after_a_week().record.encode())
    well = run_edgemnist("health", "--samples", "well.json", "--json", cwd=tmp_path)
    assert well.returncode == 0
    assert json.loads(well.stdout)["passed"]


@pytest.mark.parametrize(("days", "told"), [(6.9, False), (40.1, True)])
def test_counts_of_a_service_that_has_stopped_are_said_to_be_old(days: float, *, told: bool) -> None:
    until = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    result = msgspec.structs.replace(report_on([of([], quiet())]), until=until)
    assert ("The latest image was counted 40 days ago." in lines_of(health_page(result), 80)) is told
