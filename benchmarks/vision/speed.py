"""What a page of 12 megapixels and a camera's frame cost on one core: python -m benchmarks.vision.speed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

import cv2
import numpy as np
from PIL import Image

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.board.machine import peak_rss
from edgemnist.digits.images import open_image
from edgemnist.digits.read.page import read_page
from tools.likeness.page import Page, PageStyle, compose_page

PAGE: Final = PageStyle(width=3000, height=4000, perspective=0.01, ruled=True)
FRAME: Final = PageStyle(width=640, height=480, rows=2, columns=5, digit=0.12, perspective=0.01)
REPEATS: Final = 30


def main() -> None:
    """Measure, print and save."""
    cv2.setNumThreads(1)
    if len(sys.argv) > 1:
        print(json.dumps(measure_page(Path(sys.argv[1]))))
        return
    with tempfile.TemporaryDirectory() as directory:
        jpeg = Path(directory) / "page.jpg"
        Image.fromarray(_compose(PAGE).picture).save(jpeg, quality=90)
        figures = _measure_in_own_process(jpeg)
    classifier = load_reference()
    frame = _compose(FRAME).picture
    totals, finds, classifies = [], [], []
    cpu_started = time.process_time()
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = read_page(frame, classifier)
        totals.append((time.perf_counter() - started) * 1e3)
        finds.append(result.milliseconds.find)
        classifies.append(result.milliseconds.classify)
    figures |= {
        "frame_digits": len(result.digits),
        "frame_cpu_ms": round((time.process_time() - cpu_started) / REPEATS * 1e3, 2),
        "frame_p50_ms": round(median(totals), 2),
        "frame_min_ms": round(min(totals), 2),
        "frame_find_ms": round(median(finds), 2),
        "frame_classify_ms": round(median(classifies), 3),
    }
    save("speed", figures)


def _measure_in_own_process(jpeg: Path) -> dict[str, object]:
    """Read a page in a fresh process, since peak memory cannot be reset."""
    command = [sys.executable, "-m", "benchmarks.vision.speed", str(jpeg)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, object] = json.loads(done.stdout)
    return figures


def measure_page(jpeg: Path) -> dict[str, object]:
    """Read a page once, and return seconds and peak memory."""
    classifier = load_reference()
    started, cpu_started = time.perf_counter(), time.process_time()
    result = read_page(open_image(jpeg), classifier)
    return {
        "page_megapixels": PAGE.width * PAGE.height / 1e6,
        "page_digits": len(result.digits),
        "page_seconds": round(time.perf_counter() - started, 3),
        "page_cpu_seconds": round(time.process_time() - cpu_started, 3),
        "page_peak_rss_mb": round((peak_rss() or 0) / 1e6),
    }


def _compose(style: PageStyle) -> Page:
    rng = np.random.default_rng(3)
    return compose_page(evaluation_digits().sample(style.rows * style.columns, rng), rng, style)


if __name__ == "__main__":
    main()
