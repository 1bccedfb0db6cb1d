"""`edgemnist frontier`: a list of sizes, from training to latency, in one table and one picture."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgemnist.data.interface import Dataset
from edgemnist.frontier.config import FrontierConfig
from edgemnist.frontier.network import NAMES, Network, make_network
from edgemnist.frontier.pareto import undominated
from edgemnist.frontier.picture import frontier_png
from edgemnist.frontier.results import FrontierResult, FrontierRow
from edgemnist.progress import SILENT, Reporter
from edgemnist.storage import commit_files

PICTURE_FILE = "frontier.png"
RESULT_FILE = "frontier.json"


def frontier(dataset: Dataset, config: FrontierConfig, directory: Path, reporter: Reporter = SILENT) -> FrontierResult:
    """Train, export, verify and measure each size in a directory of its own, and compare them.

    What an interrupted frontier has done is not done again, and its training goes on from the checkpoint. Networks that
    learn from a teacher share it. Raises what the stages raise; KeyboardInterrupt is passed on.
    """
    from edgemnist.train.teachers import Teachers

    directory.mkdir(parents=True, exist_ok=True)
    teachers = Teachers(directory)
    networks: list[Network] = []
    with reporter.task("Frontier", total=len(config.sizes)) as task:
        for hidden in config.sizes:
            task.update(len(networks), f"784-{'-'.join(map(str, hidden))}-{len(dataset.labels)}")
            place = directory / "-".join(map(str, hidden))
            networks.append(make_network(dataset, config, hidden, place, teachers=teachers, reporter=reporter))
        task.update(len(networks))
    rows = _compared([row for network in networks for row in _rows(network)])
    result = FrontierResult(
        recipe=config.recipe,
        seed=config.seed,
        data=dataset.identity,
        images=networks[0].verified.images,
        rows=rows,
        picture=PICTURE_FILE,
        host=networks[0].benched.host,
        warnings=sorted({warning for network in networks for warning in network.benched.warnings}),
    )
    commit_files(directory, {PICTURE_FILE: frontier_png(result), RESULT_FILE: result.to_json().encode() + b"\n"})
    return result


def _rows(network: Network) -> list[FrontierRow]:
    parities = {parity.name: parity for parity in network.verified.artifacts}
    latencies = {latency.name: latency for latency in network.benched.results}
    return [
        FrontierRow(
            hidden=network.trained.hidden,
            parameters=network.trained.parameters,
            name=name,
            directory=network.directory.name,
            bytes=latencies[name].bytes,
            accuracy=parities[name].accuracy,
            reference_accuracy=network.verified.reference_accuracy,
            flips=parities[name].flips,
            passed=parities[name].passed,
            p50_us=latencies[name].p50_us,
            smallest=False,
            fastest=False,
        )
        for name in NAMES
    ]


def _compared(rows: list[FrontierRow]) -> list[FrontierRow]:
    """Return the rows in the order of their bytes, each with whether another one dominates it."""
    rows = sorted(rows, key=lambda row: row.bytes)
    accuracies = [row.accuracy for row in rows]
    smallest = undominated([row.bytes for row in rows], accuracies)
    fastest = undominated([row.p50_us for row in rows], accuracies)
    return [
        msgspec.structs.replace(row, smallest=small, fastest=fast)
        for row, small, fast in zip(rows, smallest, fastest, strict=True)
    ]
