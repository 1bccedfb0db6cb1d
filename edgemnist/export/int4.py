"""Weights of 4 bits in a TFLite file, with the AI Edge Quantizer: fifteen steps for each output of a layer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

CLIPPING: Final = ("OCTAV", "MIN_MAX_UNIFORM_QUANT")
"""How the range of an output's weights may be found, as the quantizer's `AlgorithmName` has it.

OCTAV (Sakr et al., 2022) clips where the squared error of the weights is least: of a network that was trained in float
it flips 30 of 10,000 labels, and minimum and maximum flip 42. A network that was trained for 4 bits has its weights
within the range that it was trained for: minimum and maximum find that range again, and OCTAV would clip further.
"""


def to_int4(model: bytes, inputs: Sequence[Sequence[Any]]) -> bytes:
    """Return a float32 TFLite file with weights of 4 bits, each output channel with a scale of its own.

    Of the ways in `CLIPPING` it is the one whose answers to `inputs`, float32 [1, ...] each, are closest to the float
    file's, by squared error.
    """
    wanted = _outputs(model, inputs)
    candidates = [_quantized(model, name) for name in CLIPPING]
    errors = [float(((_outputs(candidate, inputs) - wanted) ** 2).sum()) for candidate in candidates]
    return candidates[int(np.argmin(errors))]


def _quantized(model: bytes, algorithm: str) -> bytes:
    from ai_edge_quantizer import quantizer, recipe

    chosen = recipe.AlgorithmName[algorithm]
    # It prints a summary.
    with contextlib.redirect_stdout(io.StringIO()):
        result = quantizer.Quantizer(model, recipe.dynamic_wi4_afp32(algorithm_key=chosen)).quantize()
    return bytes(result.quantized_model)


def _outputs(model: bytes, inputs: Sequence[Sequence[Any]]) -> npt.NDArray[np.float32]:
    """Return the answers to some inputs, float32 [N, ...]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    answers = []
    for (values,) in inputs:
        interpreter.set_tensor(source, values)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target))
    return np.concatenate(answers)
