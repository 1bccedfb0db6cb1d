"""How accurate networks of a few kilobytes are: a table of sizes, each with the networks that were tried for it.

    python -m benchmarks.training.small MNIST WORKING_DIRECTORY [--rows 3200 "55000 mlp"] [--seeds 0 1 2]

Trains each network of a row on the first 55,000 training images as a student of one teacher (recipe `best`, teacher
seed 0), and chooses by the last 5,000. The test images are read once, for the network of each row that was chosen, as
the Keras model, as full-int8 TFLite in LiteRT, and as the C file on this machine, if its engine takes the network. The
chosen network is not trained again on all 60,000 images. What the working directory holds is not trained again, and a
training that was interrupted goes on. A row that was not run says so in the results.

Bytes are those of the weights, packed in their bits, and of the biases in 32 bits: `Network.weight_bytes`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.board.machine import host_facts
from edgemnist.errors import EdgemnistError
from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.model.runtimes import load
from edgemnist.pipeline.data.dataset import Dataset, Split, identified
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.export.c import CExporter
from edgemnist.pipeline.export.model import Source, read_source
from edgemnist.pipeline.export.tflite import TFLiteExporter
from edgemnist.pipeline.train.distillation import Teachers
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import train

RESULTS: Final = Path(__file__).with_suffix(".json")
HELD_OUT: Final = 5_000
CALIBRATION: Final = 500
BOTH: Final = 55_000
"""Bytes for which there is a row of MLPs and one of any network."""


class Row(NamedTuple):
    """One size."""

    most: int
    """Bytes."""
    published: float
    """Best accuracy that was published for it, a single seed, in percent: up to 12,300 bytes by
    https://github.com/cpldcpu/BitNetMCU (docs/documentation_cnn.md), above that by this project's 784-64-10 and
    784-512-10 in 8 bits."""
    wanted: float
    """In percent."""
    networks: tuple[str, ...]
    """To choose from."""
    epochs: int = 96
    kind: str = "any"

    @property
    def name(self) -> str:
        """What it is called in the results; there are two rows of 55 KB."""
        return f"{self.most} {self.kind}" if self.most == BOTH else str(self.most)


ROWS: Final = (
    Row(1_100, 94.2, 95.5, ("cnn:28:c4s2-c8-max-c10:4bit",), 32),
    Row(3_200, 98.92, 99.0, ("cnn:28:c8s2-c12-max-c16-c20:4bit",), 32),
    Row(5_400, 99.06, 99.2, ("cnn:28:c10s2-c16-max-c22-c24:4bit",)),
    Row(7_300, 99.28, 99.4, ("cnn:28:c12s2-c16-c24-max-c32:4bit",)),
    Row(11_000, 99.55, 99.6, ("cnn:28:c12s2-c20-c28-max-c40:4bit",)),
    Row(12_300, 99.02, 99.1, ("mlp:12:134-26:4bit",), 240, "mlp"),
    Row(BOTH, 98.84, 99.2, ("mlp:12:420-100:4bit",), 160, "mlp"),
    Row(BOTH, 98.84, 99.65, ("cnn:28:c12s2-c20-c28-max-c96-144:4bit",), 40),
    Row(430_000, 99.46, 99.55, ("mlp:24:1100-180:4bit",), 320, "mlp"),
)


def main() -> None:
    """Train, choose, read the test images, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    parser.add_argument("work", type=Path, help="directory for teacher and models")
    parser.add_argument("--rows", nargs="*", default=[row.name for row in ROWS])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    options = parser.parse_args()
    whole = find_dataset(options.data)
    teachers = Teachers(options.work)
    options.work.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        if row.name in options.rows:
            measured = measure(row, whole, options.work, teachers, seeds=options.seeds)
            # Another row may have been written by another process since.
            found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            rows = {**found.get("rows", {}), row.name: measured}
            RESULTS.write_text(json.dumps(document(rows), indent=2) + "\n")
            print(json.dumps(measured, indent=2), flush=True)


def document(rows: dict[str, Any]) -> dict[str, Any]:
    """Return the results, with the rows that were not run."""
    missing = {
        row.name: {"wanted": row.wanted, "published": row.published, "kind": row.kind, "reached": "not run"}
        for row in ROWS
    }
    return {
        "command": "python -m benchmarks.training.small MNIST WORKING_DIRECTORY",
        "trained_on": "the first 55,000 training images of MNIST, teacher included",
        "chosen_by": "the last 5,000 training images",
        "rows": {name: rows.get(name, row) for name, row in missing.items()},
        "host": host_facts(),
    }


def measure(row: Row, whole: Dataset, work: Path, teachers: Teachers, *, seeds: list[int]) -> dict[str, Any]:
    """Return what was reached in a row."""
    held_out, epochs = selection(whole), row.epochs
    tried = []
    for text in row.networks:
        network = Network.parse(text)
        if network.weight_bytes(len(whole.labels)) > row.most:
            raise ValueError(f"{text} takes {network.weight_bytes(len(whole.labels))} bytes, more than {row.most}")
        runs = [trained(network, seed, held_out, work, epochs=epochs, teachers=teachers) for seed in seeds]
        tried.append((statistics.mean(run.test_accuracy for run in runs), network, runs))
    _, network, runs = max(tried, key=lambda one: one[0])
    results = [tested(directory(network, run.seed, epochs, work), whole, network) for run in runs]
    return {
        "kind": row.kind,
        "published": row.published,
        "wanted": row.wanted,
        # As the C file computes, where its engine takes the network.
        "reached": percent([result["int8"] if result["c"] is None else result["c"] for result in results]),
        "network": str(network),
        "weight_bytes": network.weight_bytes(len(whole.labels)),
        "multiplications": network.multiplications(len(whole.labels)),
        "epochs": epochs,
        "seeds": seeds,
        "validation": {str(one): percent([run.test_accuracy for run in ran]) for _, one, ran in tried},
        "runs": [{"seed": run.seed, **result} for run, result in zip(runs, results, strict=True)],
    }


def percent(shares: list[float]) -> dict[str, float | None]:
    """Return mean and spread, in percent."""
    values = [100 * share for share in shares]
    return {
        "mean": round(statistics.mean(values), 3),
        "standard_deviation": round(statistics.stdev(values), 3) if len(values) > 1 else None,
    }


def selection(whole: Dataset) -> Dataset:
    """Return the training images alone: the last ones to choose by, the others to train on."""
    images, labels = whole.train.images, whole.train.labels
    return identified(
        Split(images[:-HELD_OUT], labels[:-HELD_OUT]),
        Split(images[-HELD_OUT:], labels[-HELD_OUT:]),
        whole.labels,
        source="training images of MNIST",
    )


def directory(network: Network, seed: int, epochs: int, work: Path) -> Path:
    """Return where a training is kept."""
    return work / f"{str(network).replace(':', '_')}-{epochs}-{seed}"


def trained(
    network: Network, seed: int, held_out: Dataset, work: Path, *, epochs: int, teachers: Teachers
) -> TrainResult:
    """Return the record of a training, run now if there is none."""
    place = directory(network, seed, epochs, work)
    try:
        found = read_result(TrainResult, (place / "training.json").read_bytes())
        if not found.interrupted:
            return found
    except (OSError, msgspec.MsgspecError):
        pass
    config = TrainConfig(recipe="best", network=network, seed=seed, teacher_seed=0, epochs=epochs)
    result = train(held_out, config, place, teachers=teachers)
    print(f"{network}, seed {seed}: {result.test_accuracy:.4f} of the last {HELD_OUT:,}", flush=True)
    return result


def tested(place: Path, whole: Dataset, network: Network) -> dict[str, Any]:
    """Return what a network gets right of the test images in each form."""
    source, test = read_source(place / "model.keras"), whole.test
    calibration = whole.train.images[:-HELD_OUT][:: (len(whole.train) - HELD_OUT) // CALIBRATION][:CALIBRATION]
    reference = source.answer(test.images).argmax(axis=1)
    found: dict[str, Any] = {"float": float(np.mean(reference == test.labels))}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "int8.tflite"
        file.write_bytes(TFLiteExporter(source, whole.labels, calibration).convert(source.model, "int8"))
        answers = load(file).predict_proba(test.images).argmax(axis=1)
        found |= {"int8": float(np.mean(answers == test.labels)), "flips": int(np.sum(answers != reference))}
        found |= _as_c(Path(scratch), source, whole, calibration, network)
    return found


def _as_c(scratch: Path, source: Source, whole: Dataset, calibration: np.ndarray, network: Network) -> dict[str, Any]:
    exporter = CExporter(source, whole.labels, calibration)
    quantization = f"int{network.bits}"
    try:
        made = exporter.export(quantization)
        file = scratch / "network.c"
        file.write_bytes(made.data)
        answers = load(file).predict_proba(whole.test.images).argmax(axis=1)
    except EdgemnistError as error:
        return {"c": None, "c_missing": error.message}
    footprint = made.footprint
    return {
        "c": float(np.mean(answers == whole.test.labels)),
        "c_flash_bytes": footprint.flash_bytes if footprint else None,
        "c_ram_bytes": footprint.ram_bytes if footprint else None,
    }


if __name__ == "__main__":
    main()
