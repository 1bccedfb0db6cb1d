"""A bad calibration shows as the layer that it hurt, and as no other."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.results.verify import ArtifactLayers
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import load
from edgemnist.pipeline.verify.layers import CLIPPED, LOW_SQNR_DB, _Probe, compare_layers, decibels
from edgemnist.pipeline.verify.run import verify
from tests.notices import Notices
from tests.verify import damage
from tests.verify.damage import damage_artifact, edit_manifest, replace_artifact


def layers_of(exports: Path, name: str) -> ArtifactLayers:
    (found,) = verify(Exports.open(exports), [name], layers=True).layers
    assert found.name == name
    assert found.reference == "tflite-float32"
    return found


def test_a_good_calibration_hurts_no_layer(made_exports: Path) -> None:
    found = layers_of(made_exports, "tflite-int8")
    assert [layer.operator for layer in found.layers] == ["FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX"]
    assert found.hurt is None
    for layer in found.layers:
        assert layer.sqnr_db is not None
        assert layer.range_sqnr_db is not None
        assert layer.sqnr_db > 25
        # What the range costs by itself is less than the whole error.
        assert layer.range_sqnr_db > LOW_SQNR_DB
        assert layer.cosine > 0.99
        assert layer.clipped <= CLIPPED


@pytest.mark.parametrize(
    ("wrong", "hurt", "clips"),
    [
        (damage.clip_hidden_activations, 1, True),
        (damage.widen_hidden_activations, 1, False),
        (damage.shift_zero_point_of_logits, 2, True),
    ],
)
def test_a_bad_calibration_shows_as_the_layer_that_it_hurt(
    wrong: damage.Damage, hurt: int, *, clips: bool, exports: Path
) -> None:
    before = layers_of(exports, "tflite-int8")
    damage_artifact(exports, "tflite-int8", wrong)
    after = layers_of(exports, "tflite-int8")
    assert after.hurt == hurt
    assert (after.layers[hurt - 1].clipped > 0.01) is clips
    for one, other in zip(before.layers, after.layers, strict=True):
        if one.layer != hurt:
            assert one.range_sqnr_db == pytest.approx(other.range_sqnr_db)
            assert one.clipped == other.clipped


def test_wrong_weights_show_in_the_layer_that_has_them(exports: Path) -> None:
    damage_artifact(exports, "tflite-int8", damage.transpose_hidden_weights)
    found = layers_of(exports, "tflite-int8")
    assert found.hurt is None
    first, second, _ = found.layers
    assert first.weight_sqnr_db is not None
    assert second.weight_sqnr_db is not None
    assert first.weight_sqnr_db < 5
    assert second.weight_sqnr_db > 30


def test_four_bits_cost_the_weights_more_than_eight(made_exports: Path) -> None:
    int4, dynamic = layers_of(made_exports, "tflite-int4"), layers_of(made_exports, "tflite-dynamic")
    for one, other in zip(int4.layers[:2], dynamic.layers[:2], strict=True):
        assert one.weight_sqnr_db is not None
        assert other.weight_sqnr_db is not None
        # A bit is worth 6.02 dB.
        assert 15 < other.weight_sqnr_db - one.weight_sqnr_db < 33
        assert one.range_sqnr_db is None


@pytest.mark.parametrize("name", ["tflite-int8", "tflite-int4", "tflite-dynamic", "tflite-float16"])
def test_layers_are_measured_in_the_kernels_that_answer(name: str, made_exports: Path) -> None:
    exports = Exports.open(made_exports)
    images = exports.read_golden().images[:500]
    path = exports.model(name).path
    exposed = _Probe(path)
    exposed.run(images)
    assert np.abs(exposed.answers() - exports.load(name).predict_proba(images)).max() == 0


def test_layers_of_a_model_that_takes_0_to_255_are_fed_that(exports: Path) -> None:
    names = ("tflite-int4", "tflite-float32")
    for artifact in [read_manifest(exports).artifact(name) for name in names]:
        replace_artifact(exports, artifact.name, (exports / artifact.file).read_bytes(), input_range="0..255")
    notices = Notices()
    (found,) = verify(Exports.open(exports), ["tflite-int4"], notices, layers=True).layers
    assert found.name == "tflite-int4"
    assert not any("cannot be measured" in message for message in notices.messages)


def test_layers_that_show_in_other_kernels_only_are_not_measured(
    made_exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ai_edge_litert import interpreter

    def without_delegates(**options: Any) -> Any:
        kernels = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return real(**options, experimental_op_resolver_type=kernels)

    real, files, golden = interpreter.Interpreter, made_exports, Exports.open(made_exports).read_golden()
    classifier = load(files / "tflite-int4.tflite")
    # Its interpreter for many images is made when it is needed first: here, in the usual kernels.
    classifier.predict(golden.images[:500])
    monkeypatch.setattr("edgemnist.pipeline.verify.layers.load", lambda *_, **__: classifier)
    monkeypatch.setattr(interpreter, "Interpreter", without_delegates)
    notices = Notices()
    int4, twin = Exports.open(files).select(["tflite-int4", "tflite-float32"])
    found = compare_layers(int4, twin, golden, notices)
    assert found is None
    assert notices.messages == [
        "The layers of tflite-int4 cannot be measured: with their outputs exposed, LiteRT uses other kernels."
    ]


def test_layers_are_compared_for_tflite_only_and_say_so(made_exports: Path) -> None:
    notices = Notices()
    assert verify(Exports.open(made_exports), ["onnx-int8"], notices, layers=True).layers == []
    assert any("--layers" in message for message in notices.messages)


def test_without_the_float_twin_there_is_a_command_that_makes_it(exports: Path) -> None:
    kept = [one for one in read_manifest(exports).artifacts if one.name != "tflite-float32"]
    edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, artifacts=kept))
    with pytest.raises(UsageError, match="tflite-float32") as caught:
        verify(Exports.open(exports), ["tflite-int8"], layers=True)
    assert "edgemnist export" in caught.value.hint


def test_a_file_of_another_format_is_not_compared(exports: Path) -> None:
    golden = read_golden(exports, read_manifest(exports))
    onnx, twin = Exports.open(exports).select(["onnx-int8", "tflite-float32"])
    with pytest.raises(ArtifactError, match="ONNX"):
        compare_layers(onnx, twin, golden)


def test_nothing_is_no_noise_and_no_signal() -> None:
    assert decibels(1.0, 0.1) == pytest.approx(10.0)
    assert decibels(1.0, 0.0) is None
    assert decibels(0.0, 1.0) is None
