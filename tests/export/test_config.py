"""What the options of `edgemnist export` stand for."""

from __future__ import annotations

import pytest

from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.export.interface import ArtifactSpec, ExportConfig, artifact_specs
from edgemnist.formats import FORMATS, artifact_names


def names(*arguments: object) -> list[str]:
    return [spec.name for spec in artifact_specs(*arguments)]  # type: ignore[arg-type]  # given as a test has them


def test_no_option_stands_for_everything() -> None:
    # The C file and the web page have to be named: not every model can become one.
    assert names() == [name for name in artifact_names() if not FORMATS[name.split("-")[0]].by_name]
    assert len(artifact_names()) == len(set(artifact_names())) == 12


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_format_alone_stands_for_its_default(name: str) -> None:
    assert names([name]) == [f"{name}-{FORMATS[name].quantizations[0]}"]


def test_a_quantization_alone_stands_for_every_format_that_has_it() -> None:
    assert names(None, ["int8"]) == ["tflite-int8", "onnx-int8"]
    assert names(None, ["int4"]) == ["tflite-int4"]
    assert names(None, ["int4", "float32", "int4"]) == ["tflite-int4", "tflite-float32", "onnx-float32"]


def test_a_format_and_quantizations_stand_for_these_artifacts() -> None:
    assert names(["onnx"], ["dynamic", "int8"]) == ["onnx-int8", "onnx-dynamic"]


def test_several_formats_stand_for_the_default_of_each_or_for_what_each_has() -> None:
    assert names(["onnx", "c", "onnx"]) == ["onnx-float32", "c-int8"]
    assert names(["tflite", "onnx"], ["int8", "int4"]) == ["tflite-int8", "tflite-int4", "onnx-int8"]
    with pytest.raises(UnknownNameError, match="no onnx quantization 'int4'"):
        names(["tflite", "onnx"], ["int4"])
    with pytest.raises(UnknownNameError, match="no quantization 'int16'"):
        names(["tflite", "onnx"], ["int8", "int16"])


def test_a_target_knows_its_file() -> None:
    assert ArtifactSpec("tflite", "int8").file == "tflite-int8.tflite"
    assert ArtifactSpec("onnx", "float32").file == "onnx-float32.onnx"


def test_unknown_names_are_answered_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="no format 'tflit'; did you mean 'tflite'") as caught:
        artifact_specs(["tflit"])
    assert "tflite, onnx" in caught.value.hint
    with pytest.raises(UnknownNameError, match="no onnx quantization 'int4'; did you mean 'int8'") as caught:
        artifact_specs(["onnx"], ["int4"])
    assert caught.value.hint == "Known: float32, int8, dynamic."
    with pytest.raises(UnknownNameError, match="no quantization 'int16'"):
        artifact_specs(None, ["int8", "int16"])


def test_calibration_on_no_images_is_refused_by_the_name_of_the_option() -> None:
    for count in (0, -5):
        with pytest.raises(UsageError, match=rf"--calibration must be at least 1 \(got {count}\)"):
            ExportConfig.of(calibration=count)


def test_an_unknown_way_to_choose_ranges_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="'flip'; did you mean 'flips'"):
        ExportConfig.of(ranges="flip")
