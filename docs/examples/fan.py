"""Write what a vibration sensor on a fan says, in four conditions, as a table of 13 features.

python docs/examples/fan.py FILE.csv [ROWS-OF-EACH]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

RATE = 1600
"""Samples a second."""
SAMPLES = 1024
"""Of one measurement."""
BANDS = 8
CONDITIONS = ("good", "unbalanced", "worn bearing", "blocked")


def measured(condition: str, random: np.random.Generator) -> np.ndarray:
    """Return one measurement of the acceleration, in m/s², [SAMPLES]."""
    time = np.arange(SAMPLES) / RATE
    turns = random.uniform(22, 28) * (0.7 if condition == "blocked" else 1.0)
    strength = random.uniform(0.5, 1.5)
    wave = 0.2 * strength * np.sin(2 * np.pi * turns * time + random.uniform(0, 6.3))
    wave += 0.1 * np.sin(2 * np.pi * 7 * turns * time + random.uniform(0, 6.3))
    if condition == "unbalanced":
        wave *= random.uniform(1.5, 4.0)
    if condition == "worn bearing":
        # A damaged ball strikes four times a turn, and the housing rings.
        since = (time * 4.1 * turns + random.uniform()) % 1 / (4.1 * turns)
        wave += random.uniform(0.3, 1.2) * np.exp(-400 * since) * np.sin(2 * np.pi * 520 * since)
    if condition == "blocked":
        noise = np.convolve(random.normal(0, 1, SAMPLES + 15), np.ones(16) / 16, "valid")
        wave += random.uniform(0.4, 1.2) * noise
    return wave + random.normal(0, random.uniform(0.05, 0.2), SAMPLES)


def features(wave: np.ndarray) -> list[float]:
    """Return the mean strength, peak, crest factor, kurtosis, strongest frequency, and the energy in eight bands."""
    strength = float(np.sqrt(np.mean(wave**2)))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(SAMPLES)))[1:]
    energy = [float(np.log10(np.sum(band**2))) for band in np.array_split(spectrum, BANDS)]
    peak = float(np.abs(wave).max())
    strongest = (int(spectrum.argmax()) + 1) * RATE / SAMPLES
    kurtosis = float(np.mean(wave**4) / strength**4)
    return [strength, peak, peak / strength, kurtosis, strongest, *energy]


def main() -> None:
    """Write the table, the same one every time."""
    file, each = Path(sys.argv[1]), int([*sys.argv[2:], "500"][0])
    random = np.random.default_rng(0)
    names = ["strength", "peak", "crest", "kurtosis", "strongest_hz", *(f"band_{band}" for band in range(BANDS))]
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow([*names, "label"])
        for condition in CONDITIONS:
            for _ in range(each):
                table.writerow([*(f"{value:.4g}" for value in features(measured(condition, random))), condition])


if __name__ == "__main__":
    main()
