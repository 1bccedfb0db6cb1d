"""What a channel offers reaches the boards that it is for, and nothing else does."""

import shutil
from pathlib import Path

import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.storage import sha256
from tests.channel.conftest import Site, serves


def position_of(board: str) -> float:
    """Return where a board stands among all, from 0 to 1."""
    return int(sha256(board.encode()), 16) / 16**64


def test_a_board_follows_its_channel_and_reports(site: Site) -> None:
    site.publish("old")
    assert {key.name.partition("-")[0]: key.stat().st_mode & 0o77 for key in site.keys.glob("*.pem")} == {
        "root": 0, "targets": 0, "online": 0
    }  # fmt: skip
    board = site.board()
    first = site.pull(board)
    assert (first.board.status, first.sequence, serves(board)) == ("deployed", 1, "old"), first
    site.publish("new")
    assert (site.pull(board).board.previous, serves(board)) == (first.board.release, "new")
    # Nothing is new: nothing but the timestamp is asked for, and the report is put again.
    site.asked.clear()
    assert site.pull(board).sequence == 2
    assert site.asked == ["/2.root.json", "/timestamp.json"]
    (said,) = site.publish().boards
    assert (said.board.host, said.board.status, said.board.fault) == ("board", "deployed", None)


def test_a_copy_that_nobody_can_write_to_does_as_well(site: Site, tmp_path: Path) -> None:
    site.publish("old")
    board = site.board()
    steps: list[str] = []
    with Site(tmp_path / "cdn") as copy:
        shutil.copytree(site.folder, copy.folder, dirs_exist_ok=True)
        shutil.copytree(site.keys, copy.keys)
        copy.folder.chmod(0o555)
        refused = f"{copy.address.partition('#')[0]}nowhere/here"
        assert copy.pull(board, report=refused, on_step=steps.append).board.status == "deployed"
        copy.folder.chmod(0o755)
        copy.shutdown()
    assert serves(board) == "old"
    assert steps[-1].startswith("the report was not put")


def test_a_share_of_the_boards_goes_first_and_stays_among_those_of_a_larger_share(site: Site) -> None:
    places = sorted(position_of(f"board-{number}") for number in range(2_000))
    assert places[0] >= 0
    assert places[-1] < 1
    assert 0.08 < sum(place < 0.1 for place in places) / 2_000 < 0.12
    boards = [site.board(f"board-{number}") for number in range(6)]
    places = sorted(position_of(board.root.name) for board in boards)
    site.publish("old")
    for board in boards:
        assert site.pull(board).sequence == 1
    for share, least in (((places[1] + places[2]) / 2, 2), ((places[2] + places[3]) / 2, 3), (1.0, 6)):
        # Naming the same bundle again is no new bundle.
        site.publish("new", share)
        taken = [board for board in boards if site.pull(board).sequence == 2]
        assert taken == [board for board in boards if position_of(board.root.name) < share]
        assert (len(taken), [serves(board) for board in taken]) == (least, ["new"] * least)
    # A board that comes later gets what is for all.
    site.publish("newest", 0.0)
    assert site.pull(late := site.board("late")).sequence == 2
    assert serves(late) == "new"


def test_what_fails_on_a_board_is_halted_by_the_server_alone_until_its_share_is_named_again(
    site: Site, tmp_path: Path
) -> None:
    site.publish("old")
    boards = [site.board(name) for name in ("first", "second", "third")]
    for board in boards[:2]:
        site.pull(board)
    site.publish("bad")
    failed = site.pull(boards[0])
    assert failed.board.fault is not None
    assert (failed.board.status, failed.board.fault.exit_code, serves(boards[0])) == ("failed", 1, "old")
    assert failed.board.fault.message.endswith("it is bad")
    # It is not tried again.
    site.asked.clear()
    assert site.pull(boards[0]) == failed
    assert not any("bundles" in path for path in site.asked)
    online = tmp_path / "online"
    shutil.copytree(site.keys, online, ignore=shutil.ignore_patterns("root-*", "targets-*"))
    assert site.publish(keys=online, most=1).halted is False
    assert site.publish(keys=online).halted is True
    # A report that is gone does not undo it.
    shutil.rmtree(site.folder / "reports")
    assert site.publish(keys=online).halted is True
    assert [site.pull(board).sequence for board in boards[1:]] == [1, 1]
    with pytest.raises(UsageError, match="targets key"):
        site.publish(keys=online, share=0.5)
    assert site.publish(share=1.0).halted is False
    assert site.pull(boards[1]).board.status == "failed"
    # What is better reaches all of them.
    assert site.publish("new").halted is False
    assert [site.pull(board).sequence for board in boards] == [3, 3, 3]
    assert [serves(board) for board in boards] == ["new"] * 3
