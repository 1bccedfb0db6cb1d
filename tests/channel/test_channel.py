"""What a channel offers reaches the boards that it is for, and nothing else does."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from edgemnist.errors import BundleError, DeployError, MissingDependencyError, UsageError
from edgemnist.fleet.channel import run as channel
from edgemnist.ground.storage import sha256
from tests.booted import booted
from tests.channel.conftest import Site, serves
from tests.patience import comes_true


def test_a_board_follows_its_channel_and_reports(site: Site) -> None:
    board = site.board()
    for number, name in enumerate(("old", "new"), 1):
        site.publish(name)
        found = site.pull(board)
        assert (found.board.status, found.sequence, serves(board)) == ("deployed", number, name), found
    assert {key.name[:4]: key.stat().st_mode & 0o77 for key in site.keys.glob("*.pem")} == dict.fromkeys(
        ("root", "targ", "onli"), 0
    )
    # Nothing is new: nothing but the timestamp is asked for, and the report is put again.
    site.asked.clear()
    assert site.pull(board).sequence == 2
    assert site.asked == ["/2.root.json", "/timestamp.json"]
    (said,) = site.publish().boards
    assert (said.board.host, said.board.status, said.board.fault) == ("board", "deployed", None)


def test_a_share_of_the_boards_goes_first_and_stays_among_those_of_a_larger_share(site: Site) -> None:
    boards = sorted(
        (site.board(f"board-{number}") for number in range(6)), key=lambda board: sha256(board.root.name.encode())
    )
    places = [int(sha256(board.root.name.encode()), 16) / 16**64 for board in boards]
    site.publish("old")
    assert [site.pull(board).sequence for board in boards] == [1] * 6
    for least in (2, 3, 6):
        # Naming the same bundle again is no new bundle.
        site.publish("new", sum([*places, 1, 1][least - 1 : least + 1]) / 2)
        assert [site.pull(board).sequence for board in boards] == [2] * least + [1] * (6 - least)
    site.publish("newest", 0.0)
    assert (site.pull(late := site.board("late")).sequence, serves(late)) == (2, "new")


def test_the_online_key_alone_halts_what_fails_until_its_share_is_named_again(site: Site, tmp_path: Path) -> None:
    boards = [site.board(name) for name in ("first", "second", "third")]
    site.publish("old")
    for board in boards[:2]:
        site.pull(board)
    site.publish("bad")
    failed = site.pull(boards[0])
    assert failed.board.fault is not None
    assert (failed.board.status, failed.board.fault.exit_code, serves(boards[0])) == ("failed", 1, "old")
    # It is not tried again.
    assert site.pull(boards[0]) == failed
    assert len([path for path in site.asked if "bundles" in path]) == 3
    online = shutil.copytree(site.keys, tmp_path / "online", ignore=shutil.ignore_patterns("root-*", "targets-*"))
    assert not site.publish(keys=online, most=1).halted
    assert site.publish(keys=online).halted
    assert [site.pull(board).sequence for board in boards[1:]] == [1, 1]
    with pytest.raises(UsageError, match="targets key"):
        site.publish(keys=online, share=0.5)
    assert not site.publish(share=1.0, most=1).halted
    assert site.pull(boards[1]).board.status == "failed"
    # What is better reaches all of them.
    assert not site.publish("new").halted
    assert {(site.pull(board).sequence, serves(board)) for board in boards} == {(3, "new")}


def test_a_damaged_bundle_makes_no_keys(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"bad\.zip is damaged"):
        channel.publish(str(site.folder), site.keys, tmp_path / "bad.zip", None, most=0, key="")
    assert not site.keys.exists()


@pytest.mark.needs("rclone")
def test_a_place_of_rclone_is_written_and_read_as_a_directory_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    board, place = site.board(), f":local:{site.folder}"
    for number, name in enumerate(("old", "new"), 1):
        site.publish(name, place=place)
        assert (site.pull(board).sequence, serves(board)) == (number, name)
    (said,) = site.publish(place=place).boards
    assert (said.board.status, said.sequence) == ("deployed", 2)
    with pytest.raises(DeployError, match=r"^rclone failed: Failed .*nowhere"):
        site.publish(place="nowhere-edgemnist:x")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="rclone"):
        site.publish(place=place)


@pytest.mark.all
@pytest.mark.needs("systemd", "root")
def test_the_timer_of_the_guide_pulls_once_a_real_systemd_starts_it(site: Site) -> None:
    board, there = site.board(), "https://updates.example.org/digits"
    site.publish("new")
    guide = (Path(__file__).parents[2] / "docs/guides/call-home.md").read_text()
    guide = guide.replace(f"{there}#FINGERPRINT", f"{site.address} --root {board.root}")
    guide = guide.replace(there, site.address.partition("/#")[0]).replace("User=pi", "User=root")
    guide = guide.replace("/opt/updater/bin/", f"{sys.executable} -m ")
    guide = guide.replace("=hourly", "=*:*:*").replace("RandomizedDelaySec=1h", "AccuracySec=1s")
    units = re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", guide, re.DOTALL)
    for name, text in units:
        (site.home / name).write_text(text)
    with booted(site.home) as systemd:
        systemd.run("systemctl", "link", *(site.home / name for name, _ in units))
        systemd.run("systemctl", "start", "edgemnist-pull.timer")
        assert comes_true(lambda: list(site.folder.glob("reports/*.json")))
    assert serves(board) == "new"
