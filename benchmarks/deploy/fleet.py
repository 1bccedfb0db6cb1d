"""How long a deployment to 20 boards takes beside one to a single board.

    python -m benchmarks.deploy.fleet exports

The boards are directories behind real sshds on the loopback interface. Each has its packages already, as a board in use
does, and every deployment transfers, unpacks, tests itself on the golden pack and switches. One board and all boards
take turns, twice over: `shared` lets all boards use this machine's CPUs as they can, so that 20 boards are the work of
20 for the CPUs of one machine; `own` gives each board 8 % of a CPU of its own (a control group with a quota), the same
alone as among others, which is how real boards are. To reach: all / one ≤ 3 for 20 boards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgemnist.board.machine import host_facts
from edgemnist.fleet.deploy.run import DeployConfig, FleetConfig, LocalBundle, deploy_fleet
from tests.deploy.bundles import bundled, request_for, small_exports
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, Sshd, run_agent

RESULTS = Path(__file__).with_suffix(".json")
PERIOD_US = 100_000
QUOTA_US = 8_000
"""Of each period: 20 boards together leave some of two CPUs to the deploying machine, which is this one too."""


def main() -> None:
    """Measure, print the ratios, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="an export directory with tflite-int8")
    parser.add_argument("--boards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000, help="of the golden pack, for the self-test")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        bundle = bundled(small_exports(options.exports, directory / "new", ["tflite-int8"], images=options.images))
        put_bundle(directory / "seed", bundle)
        answer = run_agent(directory / "seed", "apply", request_for(bundle, timeout_s=600.0))
        if answer.get("status") != "deployed":
            raise SystemExit(f"the first board could not be installed: {answer}")
        rows = {}
        for cpus in ("shared", "own"):
            seconds: dict[str, list[float]] = {"one": [], "all": []}
            for _ in range(options.rounds):
                for which, count in (("one", 1), ("all", options.boards)):
                    with running_boards(directory, count, quota=cpus == "own") as boards:
                        seconds[which].append(seconds_to_deploy(boards, bundle))
            one, every = (round(statistics.median(seconds[which]), 2) for which in ("one", "all"))
            rows[cpus] = {"one_s": one, "all_s": every, "ratio": round(every / one, 2), "seconds": seconds}
            print(f"CPUs {cpus}: one board {one} s, {options.boards} boards {every} s: {every / one:.2f} times as long")
    RESULTS.write_text(json.dumps({"boards": options.boards, "cpus": rows, "host": host_facts()}, indent=2) + "\n")


@contextlib.contextmanager
def running_boards(directory: Path, count: int, *, quota: bool) -> Iterator[list[LoopbackBoard]]:
    """Yield boards in which only the packages are installed, each behind a server of its own."""
    with contextlib.ExitStack() as stack:
        boards = []
        for place in range(count):
            home = directory / f"board{place}"
            shutil.rmtree(home, ignore_errors=True)
            root = home / "edgemnist"
            root.mkdir(parents=True)
            (root / "venvs").symlink_to(directory / "seed" / "venvs")
            server = Sshd(home)
            stack.callback(server.stop)
            stack.callback(server.kill_sessions)
            if quota:
                limit_cpu(f"edgemnist-board{place}", server.pid)
            boards.append(LoopbackBoard(home.name, root, server.client_config(home / "ssh_config")))
        yield boards


def limit_cpu(name: str, pid: int) -> None:
    """Put a process, and what it starts from now on, into a control group with a quota. Needs root."""
    first = Path("/sys/fs/cgroup/cpu")
    group = (first if first.is_dir() else Path("/sys/fs/cgroup")) / name
    group.mkdir(exist_ok=True)
    if first.is_dir():
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
    else:
        (group / "cpu.max").write_text(f"{QUOTA_US} {PERIOD_US}")
    (group / "cgroup.procs").write_text(str(pid))


def seconds_to_deploy(boards: list[LoopbackBoard], bundle: LocalBundle) -> float:
    """Deploy to all boards at the same time and return how long that took. Raises SystemExit where one failed."""
    started = time.perf_counter()
    result = deploy_fleet(
        [board.target for board in boards], bundle, DeployConfig(retries=0), FleetConfig(parallel=len(boards))
    )
    taken = time.perf_counter() - started
    if not result.passed:
        raise SystemExit(str([board for board in result.boards if board.status != "deployed"]))
    return taken


if __name__ == "__main__":
    main()
