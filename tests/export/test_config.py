"""What the options of `edgemnist export` stand for."""

from typing import Any

import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.inputs import MNIST_STANDARDIZED, InputSpec, range_ends, standardized
from edgemnist.model.formats import FORMATS
from edgemnist.pipeline.export.inputs import option_of
from edgemnist.pipeline.export.interface import ExportConfig, artifact_specs
from tests.messages import Told


def names(*arguments: Any) -> list[str]:
    return [spec.name for spec in artifact_specs(*arguments)]


@pytest.mark.parametrize(
    ("formats", "quantizations", "made"),
    [
        *(([name], None, [f"{name}-{entry.quantizations[0]}"]) for name, entry in FORMATS.items()),
        (None, ["int8"], ["tflite-int8", "onnx-int8"]),
        (None, ["float16"], ["tflite-float16"]),
        (None, ["float16", "float32", "float16"], ["tflite-float16", "tflite-float32", "onnx-float32"]),
        (["onnx"], ["dynamic", "int8"], ["onnx-int8", "onnx-dynamic"]),
        (["onnx", "c", "onnx"], None, ["onnx-float32", "c-int8"]),
        (["tflite", "onnx"], ["int8", "float16"], ["tflite-int8", "tflite-float16", "onnx-int8"]),
    ],
)
def test_formats_and_quantizations_stand_for(
    formats: list[str] | None, quantizations: list[str] | None, made: list[str]
) -> None:
    assert names(formats, quantizations) == made


LOGITS = {"logits": True}
MANY = {"calibration": 100}


def test_what_makes_no_sense_is_refused_in_a_sentence(told: Told) -> None:
    several: list[dict[str, Any]] = [
        {"formats": ["tflit"]},
        {"formats": ["onnx"], "quantizations": ["float16"]},
        {"formats": ["tflite", "onnx"], "quantizations": ["float16"]},
        {"formats": ["tflite", "onnx"], "quantizations": ["int8", "int16"]},
        {"quantizations": ["int8", "int16"]},
        {"calibration": 0},
        {"golden": -5},
        # What only int8 has, where there is none.
        {"formats": ["onnx"], **MANY},
        {"quantizations": ["dynamic"], **MANY},
        {"formats": ["onnx"], **LOGITS},
        {"formats": ["tflite", "onnx"], "quantizations": ["int8"], **LOGITS},
        {"quantizations": ["dynamic"], **LOGITS},
        # Numbers that are no range.
        *({"mean": 0.0}, {"std": 0.3081}, {"mean": 33.3, "std": 78.6}),
        *({"mean": 0.1, "std": std} for std in (0.0, float("nan"))),
        {"mean": 0.1, "std": 0.3, "input_range": "0..1"},
        *({"input_range": text} for text in ("1..1", "0..1e9", "0-2")),
    ]
    for options in several:
        with told():
            ExportConfig.of(**options)
    taken: list[dict[str, Any]] = [
        *({"formats": ["c"], "quantizations": ["int4"], **one} for one in (MANY, LOGITS)),
        {"formats": ["onnx"], "quantizations": ["int8", "float32"], **MANY},
        *(MANY, LOGITS, {"quantizations": ["int8"], **LOGITS}, {"formats": ["web"], **LOGITS}),
    ]
    assert all(ExportConfig.of(**options).specs for options in taken)


def test_a_range_has_one_name_from_which_its_ends_and_its_option_follow() -> None:
    assert (
        ExportConfig.of(mean=0.1307, std=0.3081).input_range == standardized([0.1307], [0.3081]) == MNIST_STANDARDIZED
    )
    assert range_ends(MNIST_STANDARDIZED) == pytest.approx((-0.42421, 2.82149), abs=1e-5)
    assert range_ends(standardized([1e-05], [0.5])) == pytest.approx((-2e-05, 1.99998))
    assert option_of(MNIST_STANDARDIZED) == "--mean 0.1307 --std 0.3081"
    assert [range_ends(name) for name in ("-1..1", "1..0", "-0.5..0.5")] == [(-1, 1), (1, 0), (-0.5, 0.5)]


def test_each_channel_may_have_a_mean_and_a_deviation_of_its_own() -> None:
    name = ExportConfig.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)).input_range
    assert name == "(x/255 - 0.485,0.456,0.406)/0.229,0.224,0.225"
    spec = InputSpec.of_range((32, 32, 3), name)
    assert spec == InputSpec.standardized((32, 32, 3), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert spec.scaling == name
    with pytest.raises(UsageError, match="--mean has 2 numbers, and --std 1"):
        ExportConfig.of(mean=(0.4, 0.5), std=(0.2,))
