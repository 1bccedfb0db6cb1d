"""Which layers of Keras become which artifacts: `docs/reference/layers.md`.

Each layer stands in a small model of random weights, which is exported to everything. "yes": the artifact was made, and
a float32 one answers within 1e-4 of Keras on 50 images. Else the table names what is not possible, and the reasons are
below it.

    python -m benchmarks.export.layers docs/reference/layers.md
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist.data.dataset import Dataset
from edgemnist.data.sources import find_dataset
from edgemnist.errors import EdgemnistError
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports.directory import Exports
from edgemnist.formats import artifact_names

FURTHEST = 1e-4
IMAGES = 50
CALIBRATION = 20


def families() -> Mapping[str, Callable[[], list[Any]]]:
    """Return the layers between the input, [N, 28, 28], and the last Dense of ten, by the name of the row."""
    from keras import layers as k

    def picture(*inner: Any) -> list[Any]:  # noqa: ANN401 - Keras has no types
        return [k.Reshape((28, 28, 1)), k.Conv2D(8, 3, strides=2), *inner, k.Flatten()]

    def units(*inner: Any) -> list[Any]:  # noqa: ANN401
        return [k.Flatten(), k.Dense(48), *inner]

    def activated(name: str) -> list[Any]:
        return units(k.Activation(name))

    activations = ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "hard_silu")
    found: dict[str, Callable[[], list[Any]]] = {
        "Dense": units,
        **{f"Activation {name}": partial(activated, name) for name in activations},
        "PReLU": lambda: units(k.PReLU()),
        "Softplus, Softsign": lambda: units(k.Activation("softplus"), k.Activation("softsign")),
        "Conv2D": picture,
        "Conv2D, dilated": lambda: picture(k.Conv2D(8, 3, dilation_rate=2)),
        "Conv2D, groups": lambda: picture(k.Conv2D(8, 3, groups=2)),
        "Conv1D": lambda: [k.Conv1D(16, 3, activation="relu"), k.Flatten()],
        "Conv2DTranspose": lambda: picture(k.Conv2DTranspose(4, 3)),
        "DepthwiseConv2D": lambda: picture(k.DepthwiseConv2D(3)),
        "SeparableConv2D": lambda: picture(k.SeparableConv2D(8, 3)),
        "MaxPooling2D": lambda: picture(k.MaxPooling2D()),
        "AveragePooling2D": lambda: picture(k.AveragePooling2D(2)),
        "GlobalAveragePooling2D": lambda: picture(k.Conv2D(64, 3), k.GlobalAveragePooling2D()),
        "GlobalMaxPooling2D": lambda: picture(k.Conv2D(64, 3), k.GlobalMaxPooling2D()),
        "BatchNormalization": lambda: picture(k.BatchNormalization()),
        "LayerNormalization": lambda: units(k.LayerNormalization()),
        "GroupNormalization": lambda: picture(k.GroupNormalization(4)),
        "UnitNormalization": lambda: units(k.UnitNormalization()),
        "Normalization, adapted": lambda: [_adapted(), k.Flatten()],
        "Rescaling": lambda: [k.Rescaling(2, -1), k.Flatten()],
        "Dropout, GaussianNoise": lambda: units(k.Dropout(0.3), k.GaussianNoise(0.1)),
        "ZeroPadding2D, Cropping2D": lambda: picture(k.ZeroPadding2D(2), k.Cropping2D(1)),
        "UpSampling2D": lambda: picture(k.UpSampling2D()),
        "Resizing": lambda: [k.Reshape((28, 28, 1)), k.Resizing(14, 14), k.Flatten()],
        "Permute, RepeatVector": lambda: [k.Permute((2, 1)), k.Flatten(), k.Dense(24), k.RepeatVector(3), k.Flatten()],
        "TimeDistributed": lambda: [k.TimeDistributed(k.Dense(8)), k.Flatten()],
        "SimpleRNN": lambda: [k.SimpleRNN(16)],
        "GRU": lambda: [k.GRU(16)],
        "LSTM": lambda: [k.LSTM(16)],
        "Bidirectional LSTM": lambda: [k.Bidirectional(k.LSTM(8))],
        "MultiHeadAttention": lambda: [_attention(), k.Flatten()],
    }
    return found


def _adapted() -> Any:  # noqa: ANN401 - Keras has no types
    from keras import layers

    layer = layers.Normalization(axis=None)
    layer.adapt(np.linspace(0, 1, 28 * 28 * 20).reshape(20, 28, 28))
    return layer


def _attention() -> Any:  # noqa: ANN401 - Keras has no types
    import keras

    source = keras.Input((28, 28))
    answer = keras.layers.MultiHeadAttention(2, 8)(source, source)
    return keras.Model(source, answer, name="attention")


def build(inner: Callable[[], list[Any]], seed: int = 0) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the model with some layers in it, of random weights."""
    import keras

    keras.utils.set_random_seed(seed)
    source = values = keras.Input((28, 28))
    for layer in inner():
        values = layer(values)
    return keras.Model(source, keras.layers.Dense(10, activation="softmax", name="scores")(values))


def outcome(model: Any, dataset: Dataset, directory: Path) -> dict[str, str]:  # noqa: ANN401
    """Export a model to everything, and return `yes` or the reason for each artifact, by its name."""
    path = directory / "layer.keras"
    model.save(path)
    config = ExportConfig.of(model=path, calibration=CALIBRATION, golden=IMAGES, input_range="0..1")
    try:
        result = export_model(config, dataset, directory / "exports")
    except EdgemnistError as error:
        return dict.fromkeys(artifact_names(), error.message.replace(str(path), "the model"))
    found = {one.name: one.reason.replace(str(path), "the model") for one in result.refused}
    exports = Exports.open(directory / "exports")
    golden = exports.read_golden()
    for artifact in result.artifacts:
        furthest = float(np.abs(exports.load(artifact.name).predict_proba(golden.images) - golden.probabilities).max())
        wrong = artifact.quantization == "float32" and furthest > FURTHEST
        found[artifact.name] = f"WRONG by {furthest:.1g}" if wrong else "yes"
    return found


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    target = parser.parse_args().file
    dataset, names = find_dataset(download=False), artifact_names()
    rows: dict[str, dict[str, str]] = {}
    for family, inner in families().items():
        with tempfile.TemporaryDirectory() as directory:
            rows[family] = outcome(build(inner), dataset, Path(directory))
        print(family, {name: words[:60] for name, words in rows[family].items() if words != "yes"}, flush=True)
        # After each row, so that an interruption loses none.
        target.write_text(page(rows, names))


def page(rows: Mapping[str, Mapping[str, str]], names: list[str]) -> str:
    """Return the table, and the reasons below it."""
    lines = [
        "# Which layers can be exported",
        "",
        "`edgemnist export` writes what a model can become and lists what it cannot, with the name of the layer. This",
        "table is made by `python -m benchmarks.export.layers docs/reference/layers.md`: each layer stands in a small",
        f"model, and every float32 artifact answers within {FURTHEST:g} of Keras. Recurrent layers are unrolled.",
        "Models of mixed precision are exported in float32. `Lambda` layers and classes of your own are refused: their",
        "code is not run.",
        "",
        f"| layer | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    reasons: dict[str, list[str]] = {}
    for family, found in rows.items():
        cells = []
        for name in names:
            if found[name] == "yes":
                cells.append("yes")
                continue
            reasons.setdefault(found[name].split(": ", 1)[-1], []).append(f"{family} as {name}")
            cells.append("no" if not found[name].startswith("WRONG") else found[name])
        lines.append(f"| {family} | {' | '.join(cells)} |")
    lines += ["", "## Why not", ""]
    lines += [f"- {', '.join(where)}: {reason}" for reason, where in reasons.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
