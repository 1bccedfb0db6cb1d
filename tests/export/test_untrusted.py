"""A Keras model file of unknown origin ends in a sentence: in time, and within a limit of memory."""

from __future__ import annotations

import io
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

import h5py
import numpy as np
import pytest

from edgemnist.errors import ModelError
from edgemnist.export.model import read_source
from edgemnist.runtimes import untrusted
from edgemnist.runtimes.keras import KerasClassifier
from edgemnist.runtimes.untrusted import AT_ONCE, EXECUTE, NEVER_ENDS, SLOW, Trial, end_child, try_model
from tests.conftest import REPOSITORY
from tests.fuzz.parsers import PARSERS

pytestmark = pytest.mark.slow


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    import keras

    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, name="scores")])
    model.save(tmp_path / "whole.h5")
    model.save(tmp_path / "whole.keras")
    return tmp_path


def test_a_whole_file_is_read(whole: Path) -> None:
    for name in ("whole.h5", "whole.keras"):
        assert try_model(whole / name) == Trial(at_once=AT_ONCE[-1])
        assert read_source(whole / name).classes == 10


def test_a_file_that_is_never_read_to_its_end_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.h5")
    assert try_model(tmp_path / "endless.h5", timeout=2).wrong == "its contents cannot be read within 2 s"


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
    assert "more than 1 GB" in try_model(whole / "bomb.keras").wrong


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
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
    path = _model(whole, (28, 28, 1), layers.UpSampling2D(36), *wide, layers.GlobalAveragePooling2D())
    # A slow machine is past the other limit before the image is answered.
    with pytest.raises(ModelError, match=f"is not opened: ({SLOW}|{NEVER_ENDS[EXECUTE]})"):
        read_source(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
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

    path = _model(whole, (784,), layers.RepeatVector(1500), layers.Conv1D(1, 1), layers.LSTM(1, name="long"))
    with pytest.raises(ModelError, match="'long' of 1,500 steps, and converters take 1,000 at most"):
        read_source(path)


def test_weights_of_another_shape_are_told_by_their_layer(whole: Path) -> None:
    def larger(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = 11

    with pytest.raises(ModelError, match="the weights of its layer 'scores' are not those of its configuration"):
        read_source(_with_config(whole, larger))


def test_a_process_that_is_forked_leaves_the_child_to_its_parent() -> None:
    code = """
import os
from edgemnist.runtimes import untrusted
untrusted.start_child()
if not os.fork():
    raise SystemExit(len(untrusted._children))
print(os.wait()[1], untrusted._children[-1].alive)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout == "0 True\n"


def test_a_child_that_has_ended_is_replaced(whole: Path) -> None:
    assert not try_model(whole / "whole.keras").wrong
    untrusted._children[-1].end()
    assert not try_model(whole / "whole.keras").wrong
    end_child()
    assert not untrusted._children


def test_no_damage_of_two_bytes_hangs_or_is_a_traceback(whole: Path) -> None:
    data, rng = (whole / "whole.h5").read_bytes(), random.Random(11)
    for _ in range(12):
        broken = bytearray(data)
        for _ in range(2):
            broken[rng.randrange(min(len(data), 8000))] ^= 1 << rng.randrange(8)
        (whole / "broken.h5").write_bytes(broken)
        assert "Traceback" not in try_model(whole / "broken.h5").wrong


def test_two_bytes_that_make_the_hdf5_library_turn_for_ever_are_found_out_by_the_processors_time(
    tmp_path: Path,
) -> None:
    """As the fuzzing found them: three of 4,000 pairs."""
    parser = PARSERS["h5, two bytes"]
    (whole,) = parser.wholes(tmp_path)
    for index in (2191, 2719, 3179):
        rng = random.Random(f"1 h5, two bytes {index}")
        (tmp_path / "endless.h5").write_bytes(parser.mutate(rng.choice([whole]), rng))
        said = try_model(tmp_path / "endless.h5", timeout=600)
        assert said == Trial("reading its contents never ends", unbounded=True)
