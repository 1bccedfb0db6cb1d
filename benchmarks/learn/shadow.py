"""What a release in the shadow costs the answers of the one that serves.

    python -m benchmarks.learn.shadow

Two services of the same release keep samples; beside one of them another release answers in the shadow. Both are asked
for one digit after the other, in turns, without a pause between them, so that whatever else the machine does meets
both. The release in the shadow is of the same model, and a tenth of the digits are drifted. To reach: p99 at most 1.3
times.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from edgemnist.board.agent.store import Store
from edgemnist.board.machine import host_facts
from edgemnist.field.samples import now
from edgemnist.field.shadow import read_tally
from edgemnist.model.exports import REFERENCE, Exports, reference_directory

RESULTS = Path(__file__).with_suffix(".json")
ROUNDS, REQUESTS = 30, 200
"""Turns of each service, and requests of a turn."""
OLD, NEW = "1-aaaaaaaaaaaa", "2-bbbbbbbbbbbb"


def main() -> None:
    """Measure, and write the result beside this script."""
    bodies = pictures()
    with tempfile.TemporaryDirectory() as directory:
        roots = [Path(directory) / name for name in ("alone", "shadowed")]
        for root in roots:
            lay_out(root)
        Store(roots[1]).set_shadow(NEW)
        with contextlib.ExitStack() as stack:
            services = [stack.enter_context(serving(root)) for root in roots]
            # Until the shadow has been noticed, and all is warm.
            for service in services:
                ask(service, bodies)
            time.sleep(5)
            seconds: list[list[float]] = [[], []]
            for _ in range(ROUNDS):
                for service, taken in zip(services, seconds, strict=True):
                    taken.extend(ask(service, bodies))
        tally = read_tally(roots[1] / "samples")
    if tally is None:
        raise SystemExit("nothing was answered in the shadow")
    quantiles = [{f"p{q}_us": float(np.percentile(one, q)) * 1e6 for q in (50, 95, 99)} for one in seconds]
    alone, shadowed = quantiles
    document = {
        "command": "python -m benchmarks.learn.shadow",
        "at": now(),
        "versions": host_facts()["versions"],
        "requests": ROUNDS * REQUESTS,
        "alone": alone,
        "with_shadow": shadowed,
        "ratio": {name: round(shadowed[name] / alone[name], 3) for name in alone},
        "compared": tally.compared,
        "differing": tally.differing,
        "skipped": tally.skipped,
        "shadow_cpu_us_an_image": round(tally.cpu_s / max(1, tally.compared) * 1e6, 1),
    }
    print(json.dumps(document, indent=2))
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


def lay_out(root: Path) -> None:
    """Make a board with two releases of the same artifacts."""
    for name in (OLD, NEW):
        place = root / "releases" / name / "exports"
        place.mkdir(parents=True)
        for file in reference_directory().iterdir():
            (place / file.name).symlink_to(file)
    Store(root).switch(OLD)


@contextlib.contextmanager
def serving(root: Path) -> Iterator[http.client.HTTPConnection]:
    """Run the service of a board, and connect to it."""
    words = ["serve", "--exports", str(root / "current" / "exports"), "--collect", str(root / "samples")]
    command = [sys.executable, "-m", "edgemnist", *words, "--port", "0", "--rate", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        text = ""
        while not text.endswith("\n}\n"):
            text += process.stdout.readline()
        address = urlsplit(json.loads(text)["url"])
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        try:
            yield connection
        finally:
            connection.close()
            process.terminate()


def pictures() -> list[bytes]:
    """Return PNG files of digits, a tenth of them with rows moved."""
    images = Exports.open(REFERENCE).read_golden().images[:REQUESTS].copy()
    images[::10, 8:20] = np.roll(images[::10, 8:20], 6, axis=2)
    found = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        found.append(stream.getvalue())
    return found


def ask(connection: http.client.HTTPConnection, bodies: list[bytes]) -> list[float]:
    """Return the seconds of each answer."""
    taken = []
    for body in bodies:
        started = time.perf_counter()
        connection.request("POST", "/v1/predict", body, {"content-type": "image/png"})
        response = connection.getresponse()
        response.read()
        taken.append(time.perf_counter() - started)
        if response.status != http.client.OK:
            raise SystemExit(f"status {response.status}")
    return taken


if __name__ == "__main__":
    main()
