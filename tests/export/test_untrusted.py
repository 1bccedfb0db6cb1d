"""A Keras model file of unknown origin ends in a sentence: in time, and within a limit of memory."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgemnist.errors import ModelError
from edgemnist.export.model import read_source
from edgemnist.runtimes.keras import _weights_up_to
from edgemnist.runtimes.untrusted import ADDRESS_SPACE, check_contents
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
        assert check_contents(whole / name) == ""
        assert read_source(whole / name).classes == 10


def test_a_file_that_is_never_read_to_its_end_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.h5")
    assert check_contents(tmp_path / "endless.h5", timeout=2) == "its contents cannot be read within 2 s"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit does not bind")
def test_the_child_has_a_limit_of_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "small.h5", "w") as file:
        file["x"] = 1
    code = "import resource; from edgemnist.runtimes import untrusted; print(untrusted._main())"
    code += "; print(*resource.getrlimit(resource.RLIMIT_AS))"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "small.h5"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["0", *[str(ADDRESS_SPACE)] * 2]


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
    assert "more than 1 GB" in check_contents(whole / "bomb.keras")


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

    with pytest.raises(ModelError, match="'scores', have more weights than the file can hold"):
        read_source(_with_config(whole, larger))


def test_a_model_that_is_made_meanwhile_in_another_thread_is_none_of_the_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    monkeypatch.setattr("edgemnist.runtimes.keras.MOST_WEIGHTS", 0)
    with _weights_up_to(0), ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: keras.layers.Dense(2)(keras.Input((3,))).shape).result() == (None, 2)
        with pytest.raises(ValueError, match="more weights than the file can hold"):
            keras.layers.Dense(2)(keras.Input((3,)))


def test_no_damage_of_two_bytes_hangs_or_is_a_traceback(whole: Path) -> None:
    data, rng = (whole / "whole.h5").read_bytes(), random.Random(11)
    for _ in range(12):
        broken = bytearray(data)
        for _ in range(2):
            broken[rng.randrange(min(len(data), 8000))] ^= 1 << rng.randrange(8)
        (whole / "broken.h5").write_bytes(broken)
        assert "Traceback" not in check_contents(whole / "broken.h5")


def test_two_bytes_that_make_the_hdf5_library_turn_for_ever_are_found_out_by_the_processors_time(
    tmp_path: Path,
) -> None:
    """As the fuzzing found them: three of 4,000 pairs."""
    parser = PARSERS["h5, two bytes"]
    (whole,) = parser.wholes(tmp_path)
    for index in (2191, 2719, 3179):
        rng = random.Random(f"1 h5, two bytes {index}")
        (tmp_path / "endless.h5").write_bytes(parser.mutate(rng.choice([whole]), rng))
        said = check_contents(tmp_path / "endless.h5", timeout=600)
        assert said == "reading its contents never ends"
