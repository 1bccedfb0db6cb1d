"""Which layers of Keras, and which networks of them, become which artifacts: `docs/reference/layers.md`.

Each layer stands in a small model of random weights, which is exported to everything. "yes": the artifact was made, and
a float32 one answers within 1e-4 of Keras on 50 images. Else the table names what is not possible, and the reasons are
below it.

    python -m benchmarks.export.layers docs/reference/layers.md
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.export.networks import CLASSES, SHAPE, networks, pictures
from edgemnist.errors import EdgemnistError
from edgemnist.model.exports import Exports
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.export.interface import ExportConfig, artifact_specs
from edgemnist.pipeline.export.run import export_model

FURTHEST = 1e-4
NETWORK = "network: "
IMAGES = 50
CALIBRATION = 20
RESULT = Path(__file__).with_suffix(".json")
"""What is known of each row. Remove it to measure all of them again, or rows of it."""


def families() -> Mapping[str, Callable[[], list[Any]]]:
    """Return the layers between the input, [N, 28, 28], and the last Dense of ten, by the name of the row."""
    from keras import layers as k

    activations = ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "hard_silu")
    found: dict[str, Callable[[], list[Any]]] = {
        "Dense": units,
        **{f"Activation {name}": partial(activated, name) for name in activations},
        "Activation celu, exponential, hard_sigmoid": partial(activated, "celu", "exponential", "hard_sigmoid"),
        "Activation hard_tanh, hard_shrink, soft_shrink": partial(activated, "hard_tanh", "hard_shrink", "soft_shrink"),
        "Activation log_sigmoid, tanh_shrink": partial(activated, "log_sigmoid", "tanh_shrink"),
        "Activation squareplus, sparse_plus": partial(activated, "squareplus", "sparse_plus"),
        "Activation sparse_sigmoid": partial(activated, "sparse_sigmoid"),
        "Activation sparsemax": partial(activated, "sparsemax"),
        "Activation glu": partial(activated, "glu"),
        "Activation log_softmax": partial(activated, "log_softmax"),
        "ReLU, LeakyReLU, Softmax": lambda: units(k.ReLU(), k.LeakyReLU(), k.Softmax()),
        "ELU": lambda: units(k.ELU()),
        "PReLU": lambda: units(k.PReLU()),
        "Softplus, Softsign": lambda: units(k.Activation("softplus"), k.Activation("softsign")),
        **_convolutions(),
        **_pooling(),
        "BatchNormalization": lambda: picture(k.BatchNormalization()),
        "LayerNormalization": lambda: units(k.LayerNormalization()),
        "RMSNormalization": lambda: units(k.RMSNormalization()),
        "GroupNormalization": lambda: picture(k.GroupNormalization(4)),
        "UnitNormalization": lambda: units(k.UnitNormalization()),
        "SpectralNormalization": lambda: units(k.SpectralNormalization(k.Dense(24))),
        "Normalization, adapted": lambda: [_adapted(), k.Flatten()],
        **_shapes(),
        **_inactive(),
        "Add, Subtract, Multiply": lambda: units(_merged(k.Add(), k.Subtract(), k.Multiply())),
        "Average, Maximum, Minimum": lambda: units(_merged(k.Average(), k.Maximum(), k.Minimum())),
        "Concatenate": lambda: units(_merged(k.Concatenate())),
        "Dot": lambda: units(_merged(k.Dot(1))),
        "EinsumDense": lambda: units(k.EinsumDense("ab,bc->ac", 24)),
        "Embedding": lambda: [k.Flatten(), k.Discretization(bin_boundaries=[0.2, 0.6]), k.Embedding(3, 4), k.Flatten()],
        "Discretization": lambda: [k.Flatten(), k.Discretization(bin_boundaries=[0.2, 0.6]), k.Rescaling(0.5)],
        "ReversibleEmbedding": lambda: [
            k.Flatten(),
            k.Discretization(bin_boundaries=[0.2, 0.6]),
            k.ReversibleEmbedding(3, 4),
            k.Flatten(),
        ],
        "CategoryEncoding": lambda: [k.Flatten(), k.CategoryEncoding(4, "count")],
        "Reshape": lambda: [k.Flatten(), k.Dense(48), k.Reshape((4, 12)), k.Flatten()],
        "Pipeline": lambda: [k.Reshape((28, 28, 1)), k.Pipeline([k.RandomFlip()]), k.Flatten()],
        "STFTSpectrogram": lambda: [
            k.Reshape((784, 1)),
            k.STFTSpectrogram(frame_length=64, frame_step=32, fft_length=64),
            k.Flatten(),
        ],
        "MelSpectrogram": lambda: [
            k.Flatten(),
            k.MelSpectrogram(num_mel_bins=8, fft_length=64, sequence_stride=32, sequence_length=64, sampling_rate=1000),
            k.Flatten(),
        ],
        "Lambda": lambda: units(k.Lambda(_twice)),
        **_recurrent(),
        "MultiHeadAttention": lambda: [_attending(k.MultiHeadAttention(2, 8)), k.Flatten()],
        "GroupQueryAttention": lambda: [_attending(k.GroupQueryAttention(8, 4, 2)), k.Flatten()],
        "Attention": lambda: [_attending(k.Attention(), together=True), k.Flatten()],
        "AdditiveAttention": lambda: [_attending(k.AdditiveAttention(), together=True), k.Flatten()],
    }
    return found


def picture(*inner: Any) -> list[Any]:  # noqa: ANN401 - Keras has no types
    """Return layers of pictures [13, 13, 8], between two that make them and flatten them."""
    from keras import layers as k

    return [k.Reshape((28, 28, 1)), k.Conv2D(8, 3, strides=2), *inner, k.Flatten()]


def volume(*inner: Any) -> list[Any]:  # noqa: ANN401 - Keras has no types
    """Return layers of volumes [7, 8, 14, 1], between two that make them and flatten them."""
    from keras import layers as k

    return [k.Reshape((7, 8, 14, 1)), *inner, k.Flatten()]


def units(*inner: Any) -> list[Any]:  # noqa: ANN401 - Keras has no types
    """Return layers of 48 units, after one that makes them."""
    from keras import layers as k

    return [k.Flatten(), k.Dense(48), *inner]


def activated(*names: str) -> list[Any]:
    """Return activations of 48 units, one after the other, under their own names."""
    from keras import layers as k

    return units(*(k.Activation(name, name=name) for name in names))


def _convolutions() -> dict[str, Callable[[], list[Any]]]:
    from keras import layers as k

    return {
        "Conv2D": picture,
        "Conv2D, dilated": lambda: picture(k.Conv2D(8, 3, dilation_rate=2)),
        "Conv2D, groups": lambda: picture(k.Conv2D(8, 3, groups=2)),
        "Conv1D": lambda: [k.Conv1D(16, 3, activation="relu"), k.Flatten()],
        "Conv3D": lambda: volume(k.Conv3D(4, 3)),
        "Conv1DTranspose": lambda: [k.Conv1DTranspose(16, 3), k.Flatten()],
        "Conv2DTranspose": lambda: picture(k.Conv2DTranspose(4, 3)),
        "Conv3DTranspose": lambda: volume(k.Conv3DTranspose(4, 3)),
        "DepthwiseConv2D": lambda: picture(k.DepthwiseConv2D(3)),
        "SeparableConv2D": lambda: picture(k.SeparableConv2D(8, 3)),
        "DepthwiseConv1D, SeparableConv1D": lambda: [k.DepthwiseConv1D(3), k.SeparableConv1D(16, 3), k.Flatten()],
    }


def _pooling() -> dict[str, Callable[[], list[Any]]]:
    from keras import layers as k

    return {
        "MaxPooling2D": lambda: picture(k.MaxPooling2D()),
        "AveragePooling2D": lambda: picture(k.AveragePooling2D(2)),
        "GlobalAveragePooling2D": lambda: picture(k.Conv2D(64, 3), k.GlobalAveragePooling2D()),
        "GlobalMaxPooling2D": lambda: picture(k.Conv2D(64, 3), k.GlobalMaxPooling2D()),
        "MaxPooling1D, AveragePooling1D": lambda: [k.MaxPooling1D(), k.AveragePooling1D(2), k.Flatten(), k.Dense(48)],
        "GlobalAveragePooling1D": lambda: [k.Conv1D(64, 3), k.GlobalAveragePooling1D()],
        "GlobalMaxPooling1D": lambda: [k.Conv1D(64, 3), k.GlobalMaxPooling1D()],
        "MaxPooling3D": lambda: [*volume(k.MaxPooling3D()), k.Dense(48)],
        "AveragePooling3D": lambda: [*volume(k.AveragePooling3D(2)), k.Dense(48)],
        "GlobalAveragePooling3D, GlobalMaxPooling3D": lambda: volume(
            k.Dense(48), k.GlobalMaxPooling3D(keepdims=True), k.GlobalAveragePooling3D()
        ),
        "AdaptiveAveragePooling2D": lambda: picture(k.AdaptiveAveragePooling2D(4)),
        "AdaptiveMaxPooling2D": lambda: picture(k.AdaptiveMaxPooling2D(4)),
        "AdaptiveAveragePooling1D": lambda: [k.AdaptiveAveragePooling1D(4), k.Flatten(), k.Dense(48)],
        "AdaptiveMaxPooling1D": lambda: [k.AdaptiveMaxPooling1D(4), k.Flatten(), k.Dense(48)],
        "AdaptiveAveragePooling3D, AdaptiveMaxPooling3D": lambda: [
            *volume(k.AdaptiveAveragePooling3D(4), k.AdaptiveMaxPooling3D(2)),
            k.Dense(48),
        ],
    }


def _shapes() -> dict[str, Callable[[], list[Any]]]:
    from keras import layers as k

    return {
        "Rescaling": lambda: [k.Rescaling(2, -1), k.Flatten()],
        "ZeroPadding2D, Cropping2D": lambda: picture(k.ZeroPadding2D(2), k.Cropping2D(1)),
        "UpSampling2D": lambda: picture(k.UpSampling2D()),
        "ZeroPadding1D, Cropping1D, UpSampling1D": lambda: [
            *(k.ZeroPadding1D(2), k.Cropping1D(1), k.UpSampling1D(2)),
            *(k.Flatten(), k.Dense(24)),
        ],
        "ZeroPadding3D, Cropping3D, UpSampling3D": lambda: [
            *volume(k.ZeroPadding3D(2), k.Cropping3D(1), k.UpSampling3D(2)),
            k.Dense(24),
        ],
        "Resizing": lambda: [k.Reshape((28, 28, 1)), k.Resizing(14, 14), k.Flatten(), k.Dense(24)],
        "CenterCrop": lambda: [k.Reshape((28, 28, 1)), k.CenterCrop(20, 20), k.Flatten()],
        "Permute, RepeatVector": lambda: [k.Permute((2, 1)), k.Flatten(), k.Dense(24), k.RepeatVector(3), k.Flatten()],
        "TimeDistributed": lambda: [k.TimeDistributed(k.Dense(48)), k.Flatten()],
    }


def _inactive() -> dict[str, Callable[[], list[Any]]]:
    """Return what does nothing but in a training."""
    from keras import layers as k

    def augmented(*names: str) -> Callable[[], list[Any]]:
        return lambda: [
            *(k.Reshape((28, 28, 1)), k.Conv2D(3, 3, activation="sigmoid")),
            *(getattr(k, name)(*_AMOUNTS.get(name, (0.1,))) for name in names),
            *(k.Flatten(), k.Dense(24)),
        ]

    return {
        "Dropout, AlphaDropout, GaussianDropout, GaussianNoise": lambda: units(
            k.Dropout(0.3), k.AlphaDropout(0.1), k.GaussianDropout(0.1), k.GaussianNoise(0.1)
        ),
        "ActivityRegularization, Identity": lambda: units(k.ActivityRegularization(0.1), k.Identity()),
        "SpatialDropout1D": lambda: [k.SpatialDropout1D(0.2), k.Flatten(), k.Dense(24)],
        "SpatialDropout2D": lambda: picture(k.SpatialDropout2D(0.2)),
        "SpatialDropout3D": lambda: [*volume(k.SpatialDropout3D(0.2)), k.Dense(24)],
        **{", ".join(names): augmented(*names) for names in _AUGMENTATIONS},
    }


_AMOUNTS: Mapping[str, tuple[Any, ...]] = {
    "RandomFlip": (),
    "RandomTranslation": (0.1, 0.1),
    "RandomCrop": (20, 20),
    "RandomErasing": (),
    "RandomGaussianBlur": (),
    "RandomPerspective": (),
    "RandomElasticTransform": (),
    "RandomInvert": (),
    "RandomGrayscale": (),
    "RandomPosterization": (4,),
    "RandomColorJitter": (),
    "AutoContrast": (),
    "Solarization": (),
    "AugMix": ((0, 1),),
    "RandAugment": ((0, 1),),
    "MixUp": (),
    "CutMix": (),
    "ContrastLimitedAdaptiveHistogramEqualization": ((0, 1),),
}
_AUGMENTATIONS: tuple[tuple[str, ...], ...] = (
    ("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation"),
    ("RandomShear",),
    ("RandomCrop",),
    ("RandomErasing", "RandomGaussianBlur", "RandomPerspective", "RandomElasticTransform"),
    ("RandomBrightness", "RandomContrast", "RandomSharpness", "RandomInvert"),
    ("RandomHue", "RandomSaturation", "RandomGrayscale", "RandomPosterization"),
    ("RandomColorJitter", "RandomColorDegeneration"),
    ("AugMix", "RandAugment", "MixUp", "CutMix"),
    ("AutoContrast",),
    ("Solarization",),
    ("ContrastLimitedAdaptiveHistogramEqualization",),
)


def _recurrent() -> dict[str, Callable[[], list[Any]]]:
    from keras import layers as k

    return {
        "SimpleRNN": lambda: [k.SimpleRNN(16)],
        "GRU": lambda: [k.GRU(16)],
        "LSTM": lambda: [k.LSTM(16)],
        "Bidirectional LSTM": lambda: [k.Bidirectional(k.LSTM(8))],
        "RNN, StackedRNNCells": lambda: [k.RNN(k.StackedRNNCells([k.GRUCell(8), k.SimpleRNNCell(8)]))],
        "GRUCell, LSTMCell, SimpleRNNCell": lambda: [
            *(k.RNN(cell, return_sequences=True) for cell in (k.GRUCell(8), k.LSTMCell(8))),
            k.RNN(k.SimpleRNNCell(8)),
        ],
        "Masking": lambda: [k.Masking(), k.SimpleRNN(16)],
        "ConvLSTM1D": lambda: [k.Reshape((4, 14, 14)), k.ConvLSTM1D(4, 3), k.Flatten()],
        "ConvLSTM2D": lambda: [k.Reshape((4, 14, 14, 1)), k.ConvLSTM2D(4, 3), k.Flatten()],
        "ConvLSTM3D": lambda: [k.Reshape((2, 7, 8, 7, 1)), k.ConvLSTM3D(2, 3), k.Flatten()],
    }


def _twice(values: Any) -> Any:  # noqa: ANN401 - Keras has no types
    return values * 2


def _adapted() -> Any:  # noqa: ANN401 - Keras has no types
    from keras import layers

    layer = layers.Normalization(axis=None)
    layer.adapt(np.linspace(0, 1, 28 * 28 * 20).reshape(20, 28, 28))
    return layer


def _attending(layer: Any, *, together: bool = False) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a model in which the rows of an image attend to one another; `together`: they come as a list."""
    import keras

    source = keras.Input((28, 28))
    return keras.Model(source, layer([source, source]) if together else layer(source, source), name="attention")


def _merged(*layers: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a model that merges 48 units with twice themselves, and the result with the units, and so on."""
    import keras

    source = keras.Input((48,))
    values = keras.layers.Dense(48)(source)
    for layer in layers:
        values = layer([source, values])
    return keras.Model(source, values, name="merged")


def network(features: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a network for pictures in colour, of random weights."""
    import keras

    keras.utils.set_random_seed(0)
    source = keras.Input(SHAPE)
    return keras.Model(source, keras.layers.Dense(len(CLASSES), activation="softmax", name="scores")(features(source)))


def build(inner: Callable[[], list[Any]], seed: int = 0) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the model with some layers in it, of random weights."""
    import keras

    keras.utils.set_random_seed(seed)
    source = values = keras.Input((28, 28))
    for layer in inner():
        values = layer(values)
    return keras.Model(source, keras.layers.Dense(10, activation="softmax", name="scores")(values))


def columns() -> list[str]:
    """Return the artifacts that are made unasked."""
    return [target.name for target in artifact_specs()]


def outcome(model: Any, dataset: Dataset, directory: Path) -> dict[str, str]:  # noqa: ANN401
    """Export a model to everything, and return `yes` or the reason for each artifact, by its name."""
    path = directory / "layer.keras"
    model.save(path)
    named = ExportConfig.of(model=path, calibration=CALIBRATION, golden=IMAGES, input_range="0..1")
    # It has just been made here.
    config = replace(named, trusted=True)
    try:
        result = export_model(config, dataset, directory / "exports")
    except EdgemnistError as error:
        return dict.fromkeys(columns(), error.message.replace(str(path), "the model"))
    found = {one.name: one.reason.replace(str(path), "the model") for one in result.refused}
    exports = Exports.open(directory / "exports")
    golden = exports.read_golden()
    for artifact in result.artifacts:
        furthest = float(np.abs(exports.load(artifact.name).predict_proba(golden.images) - golden.probabilities).max())
        wrong = artifact.quantization == "float32" and furthest > FURTHEST
        found[artifact.name] = f"WRONG by {furthest:.1g}" if wrong else "yes"
    return found


def main() -> None:
    """Measure the rows that are not known yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--row", action="append", help="measure this one only; repeatable")
    given = parser.parse_args()
    target = given.file
    digits, colours = cache(partial(find_dataset, download=False)), pictures()
    # One of them is small, and the other takes seconds to read.
    makers: dict[str, Callable[[Path], dict[str, str]]] = {}
    for name, inner in families().items():
        makers[name] = partial(lambda one, place: outcome(build(one), digits(), place), inner)
    for name, features in networks().items():
        makers[f"{NETWORK}{name}"] = partial(lambda one, place: outcome(network(one), colours, place), features)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    rows: dict[str, dict[str, str]] = {family: known[family] for family in makers if family in known}
    for family in given.row or makers:
        if family in rows:
            continue
        with tempfile.TemporaryDirectory() as directory:
            rows[family] = makers[family](Path(directory))
        print(family, {name: words[:200] for name, words in rows[family].items() if words != "yes"}, flush=True)
        # After each row, so that an interruption loses none.
        rows = {family: rows[family] for family in makers if family in rows}
        RESULT.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        target.write_text(page(rows))


def page(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Return both tables, and the reasons below them."""
    names = list(next(iter(rows.values())))
    lines = [
        "# Which layers can be exported",
        "",
        "`edgemnist export` writes what a model can become, and lists what it cannot become with the name of the",
        "layer. `python -m benchmarks.export.layers docs/reference/layers.md` makes this table: it exports a",
        f"small model with each layer, and every float32 artifact answers within {FURTHEST:g} of Keras. Recurrent",
        "layers are unrolled. Models of mixed precision are exported in float32. `Lambda` layers and classes of your",
        "own are refused: their code is not run. So are layers of other frameworks (`TFSMLayer`, `JaxLayer`,",
        "`FlaxLayer`, `TorchModuleWrapper`) and layers for categories, text and boxes (`Hashing`,",
        "`HashedCrossing`, `IntegerLookup`, `StringLookup`, `TextVectorization`, `MaxNumBoundingBoxes`). No model",
        "can contain `Equalization`, and every model here contains `Flatten`. The last layer must answer with",
        "probabilities or logits: `tanh` there is refused.",
        "",
        f"| layer | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    second = [
        *("", "## Networks for pictures of 32×32 in colour", "", f"| network | {' | '.join(columns())} |"),
        f"|---|{'---|' * len(columns())}",
    ]
    reasons: dict[str, list[str]] = {}
    for family, found in rows.items():
        if family.startswith(NETWORK):
            lines, second = [*lines, *second], []
        cells = []
        for name in columns() if family.startswith(NETWORK) else names:
            if found[name] == "yes":
                cells.append("yes")
                continue
            reasons.setdefault(found[name].split(": ", 1)[-1], []).append(f"{family.removeprefix(NETWORK)} as {name}")
            cells.append("no" if not found[name].startswith("WRONG") else found[name])
        lines.append(f"| {family.removeprefix(NETWORK)} | {' | '.join(cells)} |")
    lines += ["", "## Why not", ""]
    lines += [f"- {', '.join(where)}: {reason}" for reason, where in reasons.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
