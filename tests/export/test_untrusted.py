"""A stranger's model file ends in a sentence: in time, and within a limit of memory."""

import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.board.machine import usable_cpus
from edgemnist.errors import ArtifactError, ModelError
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.exports.models import file_model
from edgemnist.model.runtimes import RUNTIMES, load, untrusted
from edgemnist.model.runtimes.untrusted import AT_ONCE, DAMAGED, ENDLESS, LACKS_MEMORY, SLOW, try_file, try_files
from edgemnist.pipeline.bench.run import BenchConfig, request_for, scratch_directory
from edgemnist.pipeline.export.model import read_source

pytestmark = pytest.mark.all
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
CRASHES = "is not opened: it makes the runtime litert crash"
REFERENCE = reference_directory() / "tflite-int8.tflite"
LOADING = "the runtime onnxruntime does not load it and answer an image within 10 s"


@pytest.fixture(autouse=True)
def gives_up_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    sooner = "untrusted.BUILDING_S, untrusted.LOADING_S, untrusted.ENOUGH_S = 20, 3, 2.5\n"
    code = untrusted._CODE.replace("untrusted.main(", f"{sooner}untrusted.main(")
    monkeypatch.setattr(untrusted, "_COMMAND", [*untrusted._COMMAND[:-1], code])


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    import keras

    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, name="scores")])
    model.save(tmp_path / "whole.h5")
    model.save(tmp_path / "whole.keras")
    return tmp_path


def test_a_whole_file_is_read(whole: Path) -> None:
    for name in ("whole.h5", "whole.keras"):
        assert try_file(whole / name, "keras") == AT_ONCE[-1]
        assert read_source(whole / name).classes == 10


def _with_config(whole: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return the whole `.keras` file with another configuration."""
    changed = whole / "changed.keras"
    with zipfile.ZipFile(whole / "whole.keras") as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            out.writestr(name, data)
    return changed


GIGABYTES = "is not opened: its layers take gigabytes|is damaged or not a Keras model"


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (11, "the weights of its layer 'scores' do not match its configuration"),
        (2_000_000, GIGABYTES),
        (10**15, GIGABYTES),
    ],
)
def test_a_layer_that_says_it_has_other_weights_is_told_and_takes_no_memory(whole: Path, units: int, said: str) -> None:
    def larger(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = units

    with pytest.raises(ModelError, match=said):
        read_source(_with_config(whole, larger))


def _model(whole: Path, *layers: Any) -> Path:
    import keras

    images = value = keras.Input((28, 28))
    for layer in (*layers, keras.layers.Dense(10)):
        value = layer(value)
    keras.Model(images, value).save(whole / "built.keras")
    return whole / "built.keras"


def _hostile_layers(name: str) -> list[Any]:
    import keras
    from keras import layers

    def attention(value: Any) -> Any:
        return layers.Attention()([value, value])

    picture, pixels = layers.Reshape((28, 28, 1)), layers.Reshape((784,))
    hidden = [keras.Input((28, 1)), layers.UpSampling1D(10**7), layers.GlobalAveragePooling1D()]
    return {
        "padding": [picture, layers.ZeroPadding2D(30_000), layers.GlobalAveragePooling2D()],
        "repetition": [pixels, layers.RepeatVector(10**7), layers.GlobalAveragePooling1D()],
        "attention": [
            *(pixels, layers.RepeatVector(60_000), layers.Conv1D(1, 1), attention, layers.GlobalAveragePooling1D())
        ],
        "within a layer": [picture, layers.TimeDistributed(keras.Sequential(hidden)), layers.Flatten()],
    }[name]


@on_linux
@pytest.mark.parametrize("name", ["padding", "repetition", "attention", "within a layer"])
def test_a_layer_that_makes_gigabytes_of_an_image_is_found_out_in_the_child(whole: Path, name: str) -> None:
    path = _model(whole, *_hostile_layers(name))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=f"is not opened: {LACKS_MEMORY}"):
        read_source(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_an_image_that_takes_seconds_is_found_out(whole: Path) -> None:
    from keras import layers

    wide = [layers.Conv2D(channels, 31, padding="same") for channels in 4 * (16,)]
    path = _model(whole, layers.Reshape((28, 28, 1)), layers.UpSampling2D(27), *wide, layers.GlobalAveragePooling2D())
    # A slow machine is past the other limit before the image is answered.
    with pytest.raises(ModelError, match=f"is not opened: ({SLOW}|{ENDLESS.format('Keras', 60)})"):
        read_source(path)


@on_linux
def test_a_model_that_takes_megabytes_an_image_gets_fewer_at_once(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras import layers

    path = _model(whole, layers.Reshape((28, 28, 1)), layers.UpSampling2D(40), layers.GlobalAveragePooling2D())
    classifier: Any = load(path)
    sizes: list[int] = []
    infer = classifier._infer

    def counted(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return infer(pixels)

    monkeypatch.setattr(classifier, "_infer", counted)
    classifier.predict_proba(np.zeros((150, 28, 28), np.uint8))
    assert sizes == [100, 50] or set(sizes) == {10}


def test_a_child_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "TIMEOUT_S", 2)
    monkeypatch.setattr(untrusted, "_COMMAND", [sys.executable, "-c", "import time; time.sleep(600)"])
    path = _repeated(tmp_path / "x.onnx", 1)
    with pytest.raises(ArtifactError, match=r"x\.onnx is not opened: nothing came of it within 2 s"):
        try_file(path, "onnxruntime")


def test_a_file_that_ends_its_child_costs_those_behind_it_nothing(tmp_path: Path) -> None:
    good = [_repeated(tmp_path / f"{number}.onnx", 1) for number in range(3)]
    crash = _crashing(tmp_path / "x.tflite")
    files = [(good[0], "onnxruntime"), (crash, "litert"), (good[1], "onnxruntime"), (good[2], "onnxruntime")]
    try_files([*files, (tmp_path / "missing.onnx", "onnxruntime")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrusted, "_COMMAND", ["no-such-program"])
        assert [try_file(path, "onnxruntime") for path in good] == [AT_ONCE[-1]] * 3
        with pytest.raises(ArtifactError, match=CRASHES) as raised:
            load(crash, runtime="litert")
    assert raised.value.hint == DAMAGED


def test_no_damage_of_two_bytes_hangs_or_is_a_traceback(whole: Path) -> None:
    data, rng = (whole / "whole.h5").read_bytes(), random.Random(11)
    for _ in range(6):
        broken = bytearray(data)
        for _ in range(2):
            broken[rng.randrange(min(len(data), 8000))] ^= 1 << rng.randrange(8)
        (whole / "broken.h5").write_bytes(broken)
        with contextlib.suppress(ArtifactError):
            try_file(whole / "broken.h5", "keras")


def _onnx(path: Path, *nodes: Any, **constants: Any) -> Path:
    """Write an ONNX classifier in which `nodes` make `f2` of the pixels `f`, [N, 784]."""
    from onnx import TensorProto, helper, numpy_helper, save

    given: dict[str, Any] = {"W": np.ones((784, 10), np.float32), "shape": np.array([-1, 784])} | constants
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["f"]),
            *nodes,
            helper.make_node("MatMul", ["f2", "W"], ["l"]),
            helper.make_node("Softmax", ["l"], ["y"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _repeated(path: Path, count: int) -> Path:
    """Write an ONNX classifier that repeats the pixels, and takes the mean."""
    from onnx.helper import make_node

    tile, mean = make_node("Tile", ["f", "reps"], ["c"]), make_node("ReduceMean", ["c"], ["s"], axes=[1], keepdims=1)
    return _onnx(path, tile, mean, make_node("Add", ["f", "s"], ["f2"]), reps=np.array([1, count]))


def _turning(path: Path) -> Path:
    """Write an ONNX classifier with a loop of 10^18 turns."""
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info("again", TensorProto.BOOL, [])]
    pixels = helper.make_tensor_value_info("v", TensorProto.FLOAT, None)
    after = helper.make_tensor_value_info("w", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [helper.make_node("Identity", ["again"], ["more"]), helper.make_node("Sin", ["v"], ["w"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), *values, pixels],
        [helper.make_tensor_value_info("more", TensorProto.BOOL, []), after],
    )
    loop = helper.make_node("Loop", ["turns", "true", "f"], ["f2"], body=body)
    return _onnx(path, loop, turns=np.array(10**18), true=np.bool_(1))


def _filled(path: Path) -> Path:
    """Write a classifier that makes gigabytes of each picture, ONNX or TFLite."""
    if path.suffix == ".onnx":
        from onnx.helper import make_node

        fill, total = make_node("ConstantOfShape", ["size"], ["c"]), make_node("ReduceSum", ["c"], ["s"], keepdims=0)
        return _onnx(path, fill, total, make_node("Add", ["f", "s"], ["f2"]), size=np.array([4_000_000_000]))
    import tensorflow as tf

    def answer(images: Any) -> Any:
        pixels = tf.reshape(images, [-1, 784])
        more = tf.fill([tf.cast(tf.reduce_sum(images) * 0, tf.int32) + 1_500_000_000], 1.0)
        return tf.nn.softmax((pixels + tf.reduce_sum(more)) @ tf.ones([784, 10]))

    function = tf.function(answer, input_signature=[tf.TensorSpec([None, 28, 28], tf.float32)])
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert())
    return path


@on_linux
@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_gigabytes_of_an_image_are_found_out_in_the_child_whatever_the_runtime(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(RUNTIMES[runtime].requires[0].module)
    path = _filled(tmp_path / ("x.tflite" if runtime == "litert" else "x.onnx"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtifactError, match=rf"x\.\w+ is not opened: {LACKS_MEMORY}"):
        load(path, runtime=runtime)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_loop_that_never_ends_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _turning(tmp_path / "x.onnx")
    with pytest.raises(ArtifactError, match=LOADING):
        load(path)
    # Whoever asks again in this process does not wait again.
    monkeypatch.setattr(untrusted, "_COMMAND", ["no-such-program"])
    with pytest.raises(ArtifactError, match=LOADING):
        load(path)


@on_linux
def test_an_onnx_file_that_takes_megabytes_for_an_image_gets_fewer_at_once(tmp_path: Path) -> None:
    assert load(_repeated(tmp_path / "x.onnx", 10_000)).most == 10
    assert load(_repeated(tmp_path / "y.onnx", 10)).most == 1000


def test_what_a_runtime_refuses_is_said_in_its_own_words(tmp_path: Path) -> None:
    from onnx.helper import make_node

    path = _onnx(tmp_path / "x.onnx", make_node("NoSuchThing", ["f"], ["f2"]))
    with pytest.raises(ArtifactError) as own:
        RUNTIMES["onnxruntime"].load().load(path)
    with pytest.raises(ArtifactError) as raised:
        load(path)
    assert (raised.value.message, raised.value.hint) == (own.value.message, own.value.hint)
    assert "NoSuchThing" in own.value.message


def test_a_file_that_a_manifest_records_is_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(untrusted, "_COMMAND", ["no-such-program"])
    Exports.open(reference_directory()).load("tflite-int8@litert")
    path = tmp_path / "x.tflite"
    path.write_bytes(REFERENCE.read_bytes())
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        load(path, runtime="litert")
    assert load(path, runtime="litert", trusted=True).most == AT_ONCE[-1]


def test_a_file_that_answers_no_picture_is_left_to_those_who_can_say_why(whole: Path) -> None:
    from keras import layers

    # It crops in a training, and nowhere else.
    path = _model(whole, layers.Reshape((28, 28, 1)), layers.RandomCrop(24, 24), layers.Flatten())
    assert try_file(path, "keras") == 1


def _crashing(path: Path) -> Path:
    """Write a damaged file that makes LiteRT crash."""
    data = bytearray(REFERENCE.read_bytes())
    data[16], data[1604] = 0, 40
    path.write_bytes(data)
    return path


def test_no_process_that_measures_gets_a_file_that_was_not_tried(tmp_path: Path) -> None:
    model = file_model(f"{_crashing(tmp_path / 'x.tflite')}@litert")
    with pytest.raises(ArtifactError, match=CRASHES):
        request_for(model, BenchConfig(), tmp_path)


@on_linux
def test_a_process_that_measures_gives_a_model_no_more_images_at_once_than_were_answered(tmp_path: Path) -> None:
    model = file_model(str(_repeated(tmp_path / "x.onnx", 10_000)))
    with scratch_directory([np.zeros((2, 28, 28), np.uint8)]) as scratch:
        request = msgspec.structs.replace(request_for(model, BenchConfig(), scratch), cpus=usable_cpus()[:1])
        done = subprocess.run(
            [sys.executable, "-c", _MOST], check=True, input=msgspec.json.encode(request), stdout=subprocess.PIPE
        )
    assert done.stdout == b"10\n"


_MOST = """
import sys, msgspec
from edgemnist.pipeline.bench.worker import Open, Worker
print(Worker(msgspec.json.decode(sys.stdin.buffer.read(), type=Open)).most)
"""


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", pytest.param(".c", marks=pytest.mark.needs("cc")), ".keras"])
def test_a_pipe_or_a_device_under_the_name_of_a_model_is_not_read(tmp_path: Path, suffix: str) -> None:
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"device{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(ArtifactError, match="is a pipe or a device"):
            load(path)


def test_a_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.onnx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ArtifactError, match="is larger than 1 GB"):
        load(tmp_path / "x.onnx")
