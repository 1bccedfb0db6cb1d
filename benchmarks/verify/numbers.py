"""How far good artifacts of models that answer with numbers are from their reference, and from their limits.

    python -m benchmarks.verify.numbers [more-model.h5 ...]

Six regressions and an autoencoder of varied layers, trained for seconds, and models of your own are exported to
everything. Each answers in three ranges: as trained, with its numbers times 1,000, and with a mean of ten times their
spread. Prints the largest value of each limit of `edgemnist/pipeline/verify/gate.py` by quantization and runtime, in
spreads of the reference's answers. What is known is in `numbers.json` beside this file: remove it to measure again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.verify import ValueFigures
from edgemnist.model.exports import Exports
from edgemnist.model.task import task_named
from edgemnist.pipeline.data.arrays import read_arrays
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.verify.gate import GATES, VALUE_DIFF, VALUE_MEAN
from edgemnist.pipeline.verify.run import verify

ROWS = 1000
RESULT = Path(__file__).with_suffix(".json")
RANGES: dict[str, Callable[[Any, Any, float], tuple[Any, Any]]] = {
    "as trained": lambda weights, bias, _: (weights, bias),
    "far from 0": lambda weights, bias, spread: (weights, bias + 10 * spread),
    "times 1,000": lambda weights, bias, _: (1000 * weights, 1000 * bias),
}


def models() -> dict[str, Callable[[], Any]]:
    """Return what makes regressions and autoencoders, by name."""
    from keras import layers as k

    made: dict[str, tuple[tuple[int, ...], int, Callable[[], list[Any]]]] = {
        "dense 13": ((13,), 1, lambda: [k.Dense(32, activation="relu"), k.Dense(16, activation="relu")]),
        "dense 4, tanh": ((4,), 2, lambda: [k.Dense(24, activation="tanh"), k.Dense(24, activation="tanh")]),
        "sine": ((1,), 1, lambda: [k.Dense(16, activation="relu"), k.Dense(16, activation="relu")]),
        "deep 32": ((32,), 8, lambda: [k.Dense(48, activation="relu") for _ in range(6)]),
        "autoencoder 64": ((64,), 64, lambda: [k.Dense(units, activation="relu") for units in (32, 8, 32)]),
        "spectrogram": (
            (49, 10),
            3,
            lambda: [k.Conv1D(16, 5, activation="relu"), k.MaxPooling1D(2), k.Flatten()],
        ),
        "pictures 16×16×3": (
            (16, 16, 3),
            2,
            lambda: [k.Conv2D(8, 3, 2, activation="relu"), k.Conv2D(16, 3, activation="relu"), k.Flatten()],
        ),
    }
    return {name: partial(trained, *one) for name, one in made.items()}


def trained(shape: tuple[int, ...], outputs: int, layers: Callable[[], list[Any]]) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a model that was trained for seconds on numbers that are made here."""
    from keras import Input, Sequential, utils
    from keras.layers import Dense

    utils.set_random_seed(0)
    model = Sequential([Input(shape), *layers(), Dense(outputs)])
    inputs = np.random.default_rng(1).normal(size=(2000, *shape)).astype(np.float32)
    flat = inputs.reshape(len(inputs), -1)
    mixed = flat @ np.random.default_rng(2).normal(0, flat.shape[1] ** -0.5, (flat.shape[1], outputs))
    wanted = flat if outputs == flat.shape[1] else np.sin(2 * mixed) + mixed
    model.compile("adam", "mse")
    model.fit(inputs, wanted, epochs=20, batch_size=32, verbose=0)
    return model


def measured(model: Any, how: str) -> dict[str, list[float]]:  # noqa: ANN401 - Keras has no types
    """Return the largest and the mean difference of every artifact in every runtime, in spreads, by its name."""
    shape = model.inputs[0].shape[1:]
    inputs = np.random.default_rng(3).normal(size=(2 * ROWS, *shape)).astype(np.float32)
    last = model.layers[-1]
    spread = float(np.sqrt(np.var(model.predict(inputs, verbose=0), axis=0).mean()))
    weights, bias = last.get_weights()
    last.set_weights(RANGES[how](weights, bias, spread))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        model.save(directory / "m.keras")
        np.save(directory / "x.npy", inputs)
        # By its shape alone, a model of pictures would be given bytes.
        task = task_named("numbers", InputSpec(shape=tuple(shape), dtype="float32", scale=(1.0,), offset=(0.0,)))
        dataset = read_arrays(directory / "x.npy", task=task)
        named = ExportConfig.of(model=directory / "m.keras", numbers=True)
        export_model(replace(named, trusted=True), dataset, directory / "exports")
        found = verify(Exports.open(directory / "exports")).artifacts
    values = {one.name: one.values for one in found if isinstance(one.values, ValueFigures)}
    return {name: [one.largest, one.mean] for name, one in values.items()}


def main() -> None:
    """Measure what is not known yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="*")
    given = parser.parse_args().model
    known: dict[str, dict[str, list[float]]] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    made = {path.name: cache(lambda path=path: read_source(path).original) for path in given}
    made |= {name: cache(make) for name, make in models().items()}
    for how, (name, make) in product(RANGES, made.items()):
        if (key := f"{name}, {how}") not in known:
            model = make()
            before = model.layers[-1].get_weights()
            known[key] = measured(model, how)
            model.layers[-1].set_weights(before)
            RESULT.write_text(json.dumps(known, indent=1) + "\n")
            print(key, known[key].get("onnx-float32"), flush=True)
    print(f"{'quantization':<10} {'limit':<22} {'largest':>9} {'built in':>9}  where")
    for quantization, gate in GATES.items():
        for place, limit in enumerate((VALUE_DIFF, VALUE_MEAN)):
            rows = [
                (figures[place], f"{key}, {name}")
                for key, found in known.items()
                for name, figures in found.items()
                if quantization == name.partition("@")[0].partition("-")[2]
            ]
            for value, where in sorted(rows)[-1:-4:-1]:
                print(f"{quantization:<10} {limit:<22} {value:>9.2g} {gate[limit]:>9.2g}  {where}")


if __name__ == "__main__":
    main()
