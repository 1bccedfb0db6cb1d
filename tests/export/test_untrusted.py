"""A Keras model file of unknown origin ends in a sentence: in time, and within a limit of memory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError, ModelError
from edgemnist.export.model import read_source
from edgemnist.runtimes import RUNTIMES, load, untrusted
from edgemnist.runtimes.keras import KerasClassifier
from edgemnist.runtimes.untrusted import Trial, end_child, passed, try_model
from edgemnist.runtimes.untrusted_child import AT_ONCE, EXECUTE, NEVER_ENDS, SLOW
from edgemnist.storage import sha256
from tests.conftest import REPOSITORY
from tests.fuzz.parsers import PARSERS
from tests.processes import CHILD

pytestmark = pytest.mark.slow
TIGHT = CHILD[-1].replace(
    "untrusted_child.main()",
    "vars(untrusted_child).update(READING_S=0.5, LOADING_S=3.0, ENOUGH_S=2.5); untrusted_child.main()",
)
"""What starts a child that gives up sooner."""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")


@pytest.fixture(scope="module", autouse=True)
def own_child() -> Iterator[None]:
    """Take no child that other tests have left, since it gives up later, and leave none to them."""
    end_child()
    yield
    end_child()


@pytest.fixture(autouse=True)
def nothing_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEMNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(untrusted, "_COMMAND", [*CHILD[:-1], TIGHT])


def _tried(path: Path, timeout: float = untrusted.TIMEOUT_S) -> Trial:
    return try_model(path, "keras", sha256(path.read_bytes()) if path.is_file() else "endless", timeout=timeout)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    import keras

    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, name="scores")])
    model.save(tmp_path / "whole.h5")
    model.save(tmp_path / "whole.keras")
    return tmp_path


def test_a_whole_file_is_read(whole: Path) -> None:
    for name in ("whole.h5", "whole.keras"):
        assert _tried(whole / name) == Trial(at_once=AT_ONCE[-1])
        assert read_source(whole / name).classes == 10


def test_a_small_archive_with_gigabytes_in_it_is_refused_before_it_is_unpacked(whole: Path) -> None:
    bomb = whole / "bomb.keras"
    bomb.write_bytes((whole / "whole.keras").read_bytes())
    with (
        zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("more", "w", force_zip64=True) as out,
    ):
        for _ in range(1100):
            out.write(bytes(1 << 20))
    assert bomb.stat().st_size < 10_000_000
    with pytest.raises(ModelError, match="take more than 1 GB"):
        read_source(bomb)


def test_an_array_that_says_it_has_gigabytes_is_refused(whole: Path) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("weights", (1 << 40,), np.float32, chunks=(1 << 20,), compression="gzip")
    with zipfile.ZipFile(whole / "bomb.keras", "w") as archive:
        archive.writestr("model.weights.h5", stream.getvalue())
    assert "more than 1 GB" in _tried(whole / "bomb.keras").wrong


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


def test_a_configuration_of_megabytes_is_refused_before_keras_makes_gigabytes_of_it(whole: Path) -> None:
    with pytest.raises(ModelError, match="its configuration takes more than 4 MB"):
        read_source(_with_config(whole, lambda config: config.update(more=[[]] * 1_500_000)))
    with h5py.File(whole / "whole.h5", "a") as file:
        file.attrs["model_config"] = file.attrs["model_config"] + " " * (5 << 20)
    with pytest.raises(ModelError, match="its configuration takes more than 4 MB"):
        read_source(whole / "whole.h5")


def test_layers_that_keras_builds_for_minutes_are_refused(whole: Path) -> None:
    layer = {"module": "keras.layers", "class_name": "ReLU", "registered_name": None}

    def longer(config: dict[str, Any]) -> None:
        layers = config["config"]["layers"]
        layers[2:2] = [layer | {"config": {"name": f"more{index}"}} for index in range(300)]

    with pytest.raises(ModelError, match="it has more than 2,000 layers, or 200 in a Sequential"):
        read_source(_with_config(whole, longer))


def test_weights_that_are_compressed_to_less_than_a_byte_are_read(tmp_path: Path) -> None:
    import keras

    blank = keras.layers.Dense(400, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), blank, keras.layers.Dense(10)])
    model.save(tmp_path / "blank.h5")
    names: list[str] = []
    with h5py.File(tmp_path / "blank.h5", "a") as file, h5py.File(tmp_path / "small.h5", "w") as small:
        file.visititems(lambda name, node: names.append(name) if getattr(node, "shape", None) == (784, 400) else None)
        for name in names:
            del file[name]
            file.create_dataset(name, (784, 400), np.float32, compression="gzip")
        small.attrs.update(file.attrs)
        for name in file:
            file.copy(name, small)
    assert (tmp_path / "small.h5").stat().st_size < 784 * 400
    assert read_source(tmp_path / "small.h5").classes == 10


@pytest.mark.parametrize("units", [2_000_000, 10**15])
def test_a_layer_that_says_it_has_gigabytes_of_weights_takes_no_memory(whole: Path, units: int) -> None:
    def larger(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = units

    with pytest.raises(ModelError, match=r"is not opened: its layers take gigabytes|Keras fails to build it"):
        read_source(_with_config(whole, larger))


def _model(whole: Path, shape: tuple[int, ...], *layers: Any) -> Path:
    import keras

    images = value = keras.Input((28, 28))
    for layer in (keras.layers.Reshape(shape), *layers, keras.layers.Dense(10)):
        value = layer(value)
    keras.Model(images, value).save(whole / "built.keras")
    return whole / "built.keras"


def _hostile_layers(name: str) -> tuple[tuple[int, ...], list[Any]]:
    from keras import layers

    def attention(value: Any) -> Any:
        return layers.Attention()([value, value])

    long = [layers.Flatten(), layers.RepeatVector(60_000), layers.Conv1D(1, 1)]
    hidden = [layers.UpSampling1D(10**7), layers.GlobalAveragePooling1D()]
    return {
        "padding": ((28, 28, 1), [layers.ZeroPadding2D(30_000), layers.GlobalAveragePooling2D()]),
        "repetition": ((784,), [layers.RepeatVector(10**7), layers.GlobalAveragePooling1D()]),
        "attention": ((784,), [*long, attention, layers.GlobalAveragePooling1D()]),
        "within a layer": ((28, 28, 1), [layers.TimeDistributed(_sequential((28, 1), hidden)), layers.Flatten()]),
    }[name]


def _sequential(shape: tuple[int, ...], layers: list[Any]) -> Any:
    import keras

    return keras.Sequential([keras.Input(shape), *layers])


@on_linux
@pytest.mark.parametrize("name", ["padding", "repetition", "attention", "within a layer"])
def test_a_layer_that_makes_gigabytes_of_an_image_is_found_out_in_the_child(whole: Path, name: str) -> None:
    shape, layers = _hostile_layers(name)
    path = _model(whole, shape, *layers)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="is not opened: its layers take gigabytes for an image"):
        read_source(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_an_image_that_takes_seconds_is_found_out(whole: Path) -> None:
    from keras import layers

    wide = [layers.Conv2D(channels, 31, padding="same") for channels in (16, 16)]
    path = _model(whole, (28, 28, 1), layers.UpSampling2D(27), *wide, layers.GlobalAveragePooling2D())
    # A slow machine is past the other limit before the image is answered.
    with pytest.raises(ModelError, match=f"is not opened: ({SLOW}|{NEVER_ENDS[EXECUTE].format('Keras')})"):
        read_source(path)


@on_linux
def test_a_model_that_takes_megabytes_for_an_image_gets_fewer_at_once(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras import layers

    path = _model(whole, (28, 28, 1), layers.UpSampling2D(40), layers.GlobalAveragePooling2D())
    classifier = KerasClassifier.load(path)
    sizes: list[int] = []
    infer = classifier._infer

    def counted(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return infer(pixels)

    monkeypatch.setattr(classifier, "_infer", counted)
    classifier.predict_proba(np.zeros((150, 28, 28), np.uint8))
    assert sizes == [100, 50] or set(sizes) == {10}


def test_a_recurrent_layer_of_more_steps_than_can_be_unrolled_is_refused_by_name(whole: Path) -> None:
    from keras import layers

    path = _model(whole, (784,), layers.RepeatVector(1010), layers.Conv1D(1, 1), layers.SimpleRNN(1, name="long"))
    with pytest.raises(ModelError, match="'long' of 1,010 steps, but converters take at most 1,000"):
        read_source(path)


def test_weights_of_another_shape_are_told_by_their_layer(whole: Path) -> None:
    def larger(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = 11

    with pytest.raises(ModelError, match="the weights of its layer 'scores' do not match its configuration"):
        read_source(_with_config(whole, larger))


def test_a_process_that_is_forked_leaves_the_child_to_its_parent() -> None:
    code = """
import os
from edgemnist.runtimes import untrusted
untrusted.start_child("keras")
if not os.fork():
    raise SystemExit(len(untrusted._children))
print(os.wait()[1], untrusted._children[-1].alive)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout == "0 True\n"


def test_a_file_that_is_never_read_to_its_end_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.h5")
    assert _tried(tmp_path / "endless.h5", timeout=2).wrong == "its contents cannot be read within 2 s"


def test_a_child_that_has_ended_is_replaced(whole: Path) -> None:
    assert not _tried(whole / "whole.keras").wrong
    untrusted._children[-1].end()
    assert not _tried(whole / "whole.h5").wrong
    end_child()
    assert not untrusted._children


def test_no_damage_of_two_bytes_hangs_or_is_a_traceback(whole: Path) -> None:
    data, rng = (whole / "whole.h5").read_bytes(), random.Random(11)
    for _ in range(12):
        broken = bytearray(data)
        for _ in range(2):
            broken[rng.randrange(min(len(data), 8000))] ^= 1 << rng.randrange(8)
        (whole / "broken.h5").write_bytes(broken)
        assert "Traceback" not in _tried(whole / "broken.h5").wrong


def test_two_bytes_that_make_the_hdf5_library_turn_for_ever_are_found_out_by_the_processors_time(
    tmp_path: Path,
) -> None:
    """As the fuzzing found them: three of 4,000 pairs."""
    parser = PARSERS["h5, two bytes"]
    (whole,) = parser.wholes(tmp_path)
    for index in (2191, 2719, 3179):
        rng = random.Random(f"1 h5, two bytes {index}")
        (tmp_path / "endless.h5").write_bytes(parser.mutate(rng.choice([whole]), rng))
        said = _tried(tmp_path / "endless.h5", timeout=600)
        assert said == Trial("reading its contents never ends", unbounded=True)


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
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "litert"])
def test_gigabytes_of_an_image_are_found_out_in_the_child_whatever_the_runtime(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(RUNTIMES[runtime].requires[0].module)
    path = _filled(tmp_path / ("x.tflite" if runtime == "litert" else "x.onnx"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtifactError, match=r"x\.\w+ is not opened: its layers take gigabytes for an image"):
        load(path, runtime=runtime)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_loop_that_never_ends_is_found_out(tmp_path: Path) -> None:
    path = _turning(tmp_path / "x.onnx")
    with pytest.raises(ArtifactError, match="the runtime onnxruntime does not load it and answer an image within 10 s"):
        load(path)
    # Whoever asks again in this process does not wait again.
    end_child()
    with pytest.raises(ArtifactError, match="the runtime onnxruntime does not load it and answer an image within 10 s"):
        load(path)
    assert not untrusted._children


@on_linux
def test_an_onnx_file_that_takes_megabytes_for_an_image_gets_fewer_at_once(tmp_path: Path) -> None:
    assert load(_repeated(tmp_path / "x.onnx", 10_000)).most == 10
    assert load(_repeated(tmp_path / "y.onnx", 10)).most == 1000


def test_a_damaged_file_that_makes_its_runtime_crash_is_told_by_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not opened: it makes the runtime litert crash") as raised:
        load(_crashing(tmp_path / "x.tflite"), runtime="litert")
    assert raised.value.hint == "It may be damaged: convert or download it again."


def test_what_a_runtime_refuses_is_said_in_its_own_words(tmp_path: Path) -> None:
    from onnx.helper import make_node

    path = _onnx(tmp_path / "x.onnx", make_node("NoSuchThing", ["f"], ["f2"]))
    with pytest.raises(ArtifactError) as own:
        RUNTIMES["onnxruntime"].load().load(path)
    with pytest.raises(ArtifactError) as raised:
        load(path)
    assert (raised.value.message, raised.value.hint) == (own.value.message, own.value.hint)
    assert "NoSuchThing" in own.value.message
    # A copy is told by its own name.
    copy = path.rename(tmp_path / "copy.onnx")
    with pytest.raises(ArtifactError) as again:
        load(copy)
    assert again.value.message == own.value.message.replace("x.onnx", "copy.onnx")


def test_a_file_that_has_passed_is_not_tried_again_by_this_user(tmp_path: Path) -> None:
    path = _repeated(tmp_path / "x.onnx", 1)
    digest = sha256(path.read_bytes())
    assert not passed("onnxruntime", digest)
    load(path)
    assert passed("onnxruntime", digest) == 1000
    assert not passed("openvino", digest)
    end_child()
    load(path)
    assert not untrusted._children


def test_without_a_cache_files_are_tried_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEMNIST_CACHE", str(tmp_path / "file"))
    path = _repeated(tmp_path / "x.onnx", 1)
    load(path)
    end_child()
    load(path)
    assert untrusted._children


def test_what_has_passed_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MOST_PASSED", 3)
    for index in range(6):
        untrusted._remember("litert", f"{index}", 10)
    assert [passed("litert", f"{index}") for index in range(6)] == [0, 0, 0, 10, 10, 10]


def _crashing(path: Path) -> Path:
    """Write a damaged file that makes LiteRT crash."""
    data = bytearray((REPOSITORY / "exports/reference/tflite-int8.tflite").read_bytes())
    data[16], data[1604] = 0, 40
    path.write_bytes(data)
    return path


def test_no_process_that_measures_gets_a_file_that_was_not_tried(tmp_path: Path) -> None:
    from edgemnist.bench.config import BenchConfig, Subject
    from edgemnist.bench.run import request_for
    from edgemnist.exports.models import file_model

    subject = Subject(model=file_model(f"{_crashing(tmp_path / 'x.tflite')}@litert"))
    with pytest.raises(ArtifactError, match="is not opened: it makes the runtime litert crash"):
        request_for(subject, BenchConfig(), tmp_path)


@on_linux
def test_a_process_that_measures_gives_a_model_no_more_images_at_once_than_were_answered(tmp_path: Path) -> None:
    from edgemnist.bench.config import BenchConfig, Subject
    from edgemnist.bench.run import request_for, scratch_directory
    from edgemnist.exports.models import file_model

    subject = Subject(model=file_model(str(_repeated(tmp_path / "x.onnx", 10_000))))
    with scratch_directory(np.zeros((2, 28, 28), np.uint8)) as scratch:
        request = request_for(subject, BenchConfig(), scratch)
        done = subprocess.run(
            [sys.executable, "-c", _MOST], check=True, input=msgspec.json.encode(request), stdout=subprocess.PIPE
        )
    assert done.stdout == b"10\n"


_MOST = """
import sys, msgspec
from edgemnist.bench.protocol import WorkerRequest
from edgemnist.bench.worker import get_ready
print(get_ready(msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerRequest)).classifier.most)
"""


@pytest.mark.parametrize("hostile", ["quantized", "twin"])
def test_both_files_are_tried_before_their_layers_are_looked_at(tmp_path: Path, hostile: str) -> None:
    from edgemnist.exports import Exports
    from edgemnist.verify.layers import compare_layers

    reference = REPOSITORY / "exports/reference"
    files = dict.fromkeys(("quantized", "twin"), reference / "tflite-int8.tflite")
    files[hostile] = _crashing(tmp_path / "x.tflite")
    with pytest.raises(ArtifactError, match="is not opened: it makes the runtime litert crash"):
        compare_layers("x", files["quantized"], files["twin"], Exports.open(reference).read_golden())


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".c", ".keras"])
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


@pytest.mark.parametrize("count", ["-5", "1000000000"])
def test_a_number_that_nobody_wrote_lets_nothing_pass(tmp_path: Path, count: str) -> None:
    path = _repeated(tmp_path / "x.onnx", 1)
    (tmp_path / "cache").mkdir()
    file = tmp_path / "cache" / untrusted.PASSED_FILE
    file.write_text(f"{sha256(path.read_bytes())} onnxruntime {count}\n")
    assert load(path).most == 1000


@pytest.mark.parametrize("kind", ["pipe", "device", "terabyte", "binary"])
def test_a_list_of_passed_files_that_is_none_does_no_harm(tmp_path: Path, kind: str) -> None:
    (tmp_path / "cache").mkdir()
    file = tmp_path / "cache" / untrusted.PASSED_FILE
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "terabyte":
        with file.open("wb") as stream:
            stream.truncate(1 << 40)
    else:
        file.write_bytes(b"\xff\0\n" * 10)
    assert load(_repeated(tmp_path / "x.onnx", 1)).most == 1000
    # What is in the way of a list is replaced by one.
    known = bool(passed("onnxruntime", sha256((tmp_path / "x.onnx").read_bytes())))
    assert known is (kind in {"terabyte", "binary"})


@on_linux
def test_nothing_goes_on_once_its_parent_was_killed(tmp_path: Path) -> None:
    code = f"""
import threading
from edgemnist.runtimes import load, untrusted
threading.Thread(target=load, args=({str(_turning(tmp_path / "x.onnx"))!r},), daemon=True).start()
while not untrusted._children:
    pass
print(untrusted._children[-1]._process.pid, flush=True)
threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        _wait_until(lambda: _running(group) == 2)
        parent.kill()
    # Long before the loop has had its 20 s.
    _wait_until(lambda: _running(group) == 0, seconds=10)


def _running(group: int) -> int:
    """Return how many processes of a group have not ended."""
    found = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of = file.read_text().rpartition(")")[2].split()[:3]
            found += int(of) == group and state != "Z"
    return found


def _wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
