"""How long a deployment to 20 boards takes beside one to a single board.

    python -m benchmarks.deploy.fleet exports [boards]

The boards are directories behind a real sshd on the loopback interface, so they share this machine's CPUs, which real
boards would not: what is measured is the worst case. Each has its packages already, as a board in use does, and every
deployment transfers, unpacks, tests itself on the golden pack and switches. One board and all boards take turns. To
reach: all / one ≤ 3 for 20 boards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from edgemnist.bench.host import host_facts
from edgemnist.deploy.fleet import FleetConfig, deploy_fleet
from edgemnist.deploy.sequence import DeployConfig, LocalBundle
from tests.deploy.bundles import bundled, request_for, small_exports
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, Sshd, run_agent

RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Measure, print the ratio, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="an export directory with tflite-int8")
    parser.add_argument("boards", type=int, nargs="?", default=20)
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
        (directory / "sshd").mkdir()
        server = Sshd(directory / "sshd")
        try:
            ssh_config = server.client_config(directory / "ssh_config")
            seconds: dict[str, list[float]] = {"one": [], "all": []}
            for _ in range(options.rounds):
                for which, count in (("one", 1), ("all", options.boards)):
                    boards = [fresh_board(directory, f"board{place}", ssh_config) for place in range(count)]
                    seconds[which].append(seconds_to_deploy(boards, bundle))
        finally:
            server.kill_sessions()
            server.stop()
    medians = {which: round(statistics.median(taken), 2) for which, taken in seconds.items()}
    ratio = round(medians["all"] / medians["one"], 2)
    result = {"boards": options.boards, "medians_s": medians, "ratio": ratio, "seconds": seconds, "host": host_facts()}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(f"one board {medians['one']} s, {options.boards} boards {medians['all']} s: {ratio} times as long")


def fresh_board(directory: Path, name: str, ssh_config: Path) -> LoopbackBoard:
    """Return an empty board in which only the packages are installed."""
    root = directory / name / "edgemnist"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / "venvs").symlink_to(directory / "seed" / "venvs")
    return LoopbackBoard(name, root, ssh_config)


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
