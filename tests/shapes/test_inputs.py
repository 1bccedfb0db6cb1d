"""What a model reads: said once, recorded, and checked."""

import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import UnknownNameError
from edgemnist.ground.inputs import INPUT_RANGES, MOST_NUMBERS, InputSpec, range_ends
from tests.messages import Told
from tests.shapes import SPECS

DIGIT, COLOUR, METER, ROW = (SPECS[name] for name in ("digit", "colour", "meter", "row"))
EACH = pytest.mark.parametrize("spec", [pytest.param(spec, id=name) for name, spec in SPECS.items()])


def test_what_is_no_input_is_refused(told: Told) -> None:
    several: list[dict[str, Any]] = [
        *(
            {"shape": shape}
            for shape in ((), (2,) * 5, (28, 0), (-28, -28), (MOST_NUMBERS + 1,), (1025, 1024), (28, 28, 1))
        ),
        {"shape": (28, 28), "scale": (0.0,)},
        {"shape": (32, 32, 3), "scale": (1.0, 2.0)},
        {"shape": (13,), "offset": ()},
        {"shape": (28, 28), "scale": (math.nan,)},
        {"shape": (28, 28), "offset": (math.inf,)},
    ]
    for fields in several:
        with told():
            InputSpec(**fields)
    for fields in several[:-2]:
        # In a record it is damage.
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(fields), type=InputSpec)


@pytest.mark.parametrize("shape", [(1,), (MOST_NUMBERS,), (1024, 1024), (2, 2, 2, 1), (1, 1, 1, 1), (1, 1)])
def test_the_largest_and_smallest_are_taken(shape: tuple[int, ...]) -> None:
    spec = InputSpec(shape=shape)
    assert (spec.size, len(spec.probes()), spec.at_once()) == (math.prod(shape), 5, 4 if spec.size > 16 else 1000)


@EACH
def test_a_record_says_all_of_it(spec: InputSpec) -> None:
    data = msgspec.json.encode(spec)
    assert list(msgspec.json.decode(data)) == ["shape", "dtype", "scale", "offset"]
    assert msgspec.json.decode(data, type=InputSpec) == spec


def test_inputs_have_a_name() -> None:
    expected = {
        "digit": "28×28 images",
        "odd": "23×17 images",
        "meter": "20×32 images in colour",
        "spectrogram": "49×10 numbers",
        "row": "13 numbers",
    }
    assert {name: SPECS[name].words() for name in expected} == expected
    assert [name for name, spec in SPECS.items() if not spec.is_picture] == ["spectrogram", "row", "long"]
    assert (DIGIT.channels, COLOUR.channels, DIGIT.nbytes, ROW.nbytes) == (1, 3, 784, 52)


@pytest.mark.parametrize("name", [*INPUT_RANGES, "-2..2", "0..0.1", "16..235", "255..0", "(x/255 - 0.4)/0.3"])
def test_a_range_keeps_its_name_and_its_ends(name: str) -> None:
    spec = InputSpec.of_range((28, 28), name)
    assert spec.range == name
    np.testing.assert_allclose(spec.ends, [range_ends(name)], rtol=1e-12, atol=1e-12)
    assert spec.is_unit == (name == "0..1")


def test_what_no_range_means_has_no_name() -> None:
    with pytest.raises(UnknownNameError, match="no input range"):
        InputSpec.of_range((28, 28), "0-1")
    odd = InputSpec(shape=(28, 28), scale=(1 / 3,), offset=(1 / 7,))
    assert [spec.range for spec in (METER, ROW, odd)] == [None, None, None]


def test_numbers_become_real_ones() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    unit = images.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(InputSpec(shape=(16, 16)).real(images), unit)
    for name in INPUT_RANGES:
        low, high = range_ends(name)
        found = InputSpec.of_range((16, 16), name).real(images)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, unit * np.float32(high - low) + np.float32(low))
    white = np.full((1, 32, 20, 3), 255, np.uint8)
    np.testing.assert_allclose(METER.real(white)[0, 0, 0], [0.6 / 0.2, 0.5 / 0.25, 0.4 / 0.3], rtol=1e-6)
    np.testing.assert_array_equal(ROW.real(np.ones((2, 13), np.float32)), [range(13)] * 2)


@EACH
@pytest.mark.parametrize("count", [0, 1, 2])
def test_inputs_are_taken_as_arrays_lists_and_in_a_row(spec: InputSpec, count: int) -> None:
    inputs = spec.random(count)
    assert inputs.dtype == spec.dtype
    forms = [inputs, inputs.reshape(count, spec.size), inputs[..., None], inputs[:, None], np.asfortranarray(inputs)]
    if spec.is_picture:
        forms += [inputs.astype(np.int64), inputs.astype(np.float64), inputs / 255, inputs / np.float32(255)]
    for given in (*forms, inputs.tolist() if spec.size < 20 else [*inputs]):
        found = spec.check(given)
        assert (str(found.dtype), found.shape) == (spec.dtype, (count, *spec.shape))
        np.testing.assert_array_equal(found, inputs)
    if count:
        np.testing.assert_array_equal(spec.check(inputs[0]), inputs[:1])


@EACH
def test_other_inputs_are_refused_in_words(spec: InputSpec) -> None:
    called = "images" if spec.is_picture else "inputs"
    for other in (np.zeros((2, *spec.shape, 2)), np.zeros(spec.size + 1), np.zeros((2, 2, *spec.shape))):
        with pytest.raises(ValueError, match=rf"{called} must be \[N, .* or one \[.*, not \[.*\]"):
            spec.check(other)
    no_numbers: list[Any] = [["a picture"], np.full(spec.shape, 1j), np.ones(spec.single, bool)]
    for given in no_numbers:
        with pytest.raises(ValueError, match="must be numbers, not"):
            spec.check(given)
    for value in (math.nan, math.inf, -math.inf):
        inputs = np.zeros(spec.single)
        inputs[(0,) * len(inputs.shape)] = value
        with pytest.raises(ValueError, match=r"finite|between 0 and 255"):
            spec.check(inputs)


@pytest.mark.parametrize(
    ("spec", "tensor", "expected"),
    [
        *((DIGIT, tensor, None) for tensor in ([28, 28], [28, 28, 1], [1, 28, 28], [784])),
        *((COLOUR, tensor, None) for tensor in ([32, 32, 3], [3072], [1, 32, 32, 3])),
        (COLOUR, [3, 32, 32], (2, 0, 1)),
        (METER, [3, 32, 20], (2, 0, 1)),
        (InputSpec(shape=(3, 3, 3)), [3, 3, 3], None),
        *((ROW, tensor, None) for tensor in ([13], [13, 1], [1, 13])),
        (SPECS["spectrogram"], [490], None),
    ],
)
def test_an_input_is_put_into_a_tensor(spec: InputSpec, tensor: list[int], expected: tuple[int, ...] | None) -> None:
    assert spec.axes(tensor) == expected
    if expected is not None:
        assert spec.random(1)[0].transpose(expected).shape == tuple(tensor)


def test_another_tensor_is_refused(told: Told) -> None:
    tensors: list[tuple[InputSpec, list[Any]]] = [
        *((DIGIT, tensor) for tensor in ([32, 32, 3], [28, 28, 3], ["height", 28], [None, 28])),
        *((METER, [3, 20, 32]), (ROW, [])),
    ]
    for spec, tensor in tensors:
        with told():
            spec.axes(tensor)


@EACH
def test_a_model_is_tried_with_unlike_inputs(spec: InputSpec) -> None:
    probes = spec.probes()
    assert (str(probes.dtype), probes.shape) == (spec.dtype, (5, *spec.shape))
    assert len(np.unique(probes.reshape(5, -1), axis=0)) == 5
    np.testing.assert_array_equal(spec.check(probes), probes)
    if spec.channels == 3:
        assert len(np.unique(probes[2:].reshape(-1, 3), axis=0)) > spec.shape[0]


def means(values: npt.NDArray[Any]) -> float:
    return float(values.mean())


@EACH
def test_random_inputs_are_the_same_each_time(spec: InputSpec) -> None:
    found = spec.random(50)
    np.testing.assert_array_equal(found, spec.random(50))
    assert not np.array_equal(found, spec.random(50, seed=1))
    if spec.dtype == "float32":
        real = spec.real(spec.random(50, low=2, high=4))
        assert 1.99 < real.min() < real.max() < 4.01
        assert abs(means(real) - 3) < 0.1
    else:
        assert abs(means(found) - 127.5) < 2


def test_large_inputs_are_answered_fewer_at_a_time() -> None:
    taken = {name: spec.at_once() for name, spec in SPECS.items()}
    assert taken == dict.fromkeys(SPECS, 1000) | {"grey": 455, "large": 151}
    assert DIGIT.at_once(10) == 10
