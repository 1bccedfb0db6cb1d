"""Models of every shape: what is promised of digits holds for each of them."""

from typing import Final

from edgemnist.ground.inputs import InputSpec

SPECS: Final = {
    "digit": InputSpec(shape=(28, 28)),
    "colour": InputSpec(shape=(32, 32, 3)),
    "odd": InputSpec(shape=(17, 23)),
    "grey": InputSpec(shape=(96, 96)),
    "large": InputSpec(shape=(96, 96, 3)),
    "meter": InputSpec.standardized((32, 20, 3), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
    "spectrogram": InputSpec(shape=(49, 10), dtype="float32", scale=(1.0,)),
    "row": InputSpec(shape=(13,), dtype="float32", scale=tuple(range(1, 14)), offset=(-1.0,)),
    "long": InputSpec(shape=(640,), dtype="float32", scale=(1.0,)),
}
