"""`bench.json`: what each artifact costs on this machine, for the commands that come later."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgemnist.bench.subjects import KERAS, subject_key
from edgemnist.errors import ManifestError, UsageError
from edgemnist.manifest import Manifest, read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import BenchResult, Latency
from edgemnist.saved import read_saved, write_saved

BENCH_FILE = "bench.json"


def read_bench(exports: Path) -> BenchResult | None:
    """Return the saved result of an export directory, or None where nothing was measured yet.

    Raises ManifestError where the file is broken or of a newer schema version.
    """
    return read_saved(exports / BENCH_FILE, BenchResult, hint="Make it anew with: edgemnist bench")


def current(result: BenchResult, manifest: Manifest, model: str | None) -> BenchResult:
    """Return what a result says about the very files of a manifest; `model` is the Keras model's SHA-256.

    An artifact of another model than that one is none of them, see `present_model`.
    """
    hashes = {one.name: one.sha256 for one in manifest.artifacts if model in (None, one.model_sha256)} | {KERAS: model}
    return msgspec.structs.replace(
        result, results=[latency for latency in result.results if hashes.get(latency.name) == latency.sha256]
    )


def read_baseline(path: Path) -> BenchResult:
    """Return the result of an earlier run that `--save` wrote.

    Raises UsageError where there is no such file or it lacks raw samples, and ManifestError where it is broken.
    """
    hint = "Write one with: edgemnist bench --save FILE"
    baseline = read_saved(path, BenchResult, hint=hint)
    if baseline is None:
        raise UsageError(f"{path} does not exist", hint=hint)
    if not baseline.samples_us:
        raise UsageError(f"{path} has no raw samples to compare with", hint=hint)
    for latency in baseline.results:
        key = subject_key(latency.name, latency.runtime, latency.threads)
        rounds = baseline.samples_us.get(key, [])
        if not rounds or not all(rounds) or len(rounds) != len(latency.blocks or rounds):
            raise UsageError(f"{path} lacks raw samples of {key}", hint=hint)
        if min(map(min, rounds)) <= 0:
            raise UsageError(f"{path} has samples of {key} that are not above 0", hint=hint)
    return baseline


def save_bench(exports: Path, result: BenchResult, reporter: Reporter = SILENT) -> bool:
    """Save a result, without raw samples, beside the manifest, and return whether that was possible.

    Of a run over several numbers of threads, the smallest is kept. What was not measured this time keeps its earlier
    figures, as long as they are of the same files, the same host and as many threads. Where nothing can be written, a
    notice says so.
    """
    result = msgspec.structs.replace(result, samples_us=None, warmup_us=None, baseline=None)
    fewest = min(latency.threads for latency in result.results)
    result = msgspec.structs.replace(result, results=[one for one in result.results if one.threads == fewest])
    try:
        earlier = read_bench(exports)
    except ManifestError as error:
        reporter.notice(f"{error.message}: it is replaced.")
        earlier = None
    if earlier is not None and earlier.host == result.host:
        result = msgspec.structs.replace(
            result, results=_merge(earlier.results, result.results, read_manifest(exports))
        )
    return write_saved(exports / BENCH_FILE, result, reporter)


def _merge(earlier: list[Latency], new: list[Latency], manifest: Manifest) -> list[Latency]:
    known = {artifact.sha256 for artifact in manifest.artifacts}
    if manifest.model is not None:
        known.add(manifest.model.sha256)
    measured = {(latency.name, latency.runtime) for latency in new}
    threads = {latency.threads for latency in new}
    kept = [
        latency
        for latency in earlier
        if (latency.name, latency.runtime) not in measured and latency.sha256 in known and latency.threads in threads
    ]
    return [_with_speedup(one, kept + new) for one in kept + new]


def _with_speedup(latency: Latency, all_of_them: list[Latency]) -> Latency:
    """Return the figures with the speed-up over Keras, which may have been measured in another run."""
    keras = next((one for one in all_of_them if one.runtime == KERAS and one.threads == latency.threads), None)
    if latency.speedup is not None or keras is None:
        return latency
    return msgspec.structs.replace(latency, speedup=keras.p50_us / latency.p50_us)
