"""Which layer of a Keras model a converter stumbles over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def first_failing_layer(original: Any, model: Any, works: Callable[[Any], bool]) -> str | None:  # noqa: ANN401
    """Return the name and class of the first layer of `model` up to which it does not work, or None.

    `works` is tried on the model cut off after each layer in turn; an exception counts as a no. `model` may have other
    classes in the place of those of `original`, which is what the user knows.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        try:
            part = keras.Model(model.inputs, layer.output)
        except Exception:  # noqa: BLE001, S112 - a layer that is used twice has no single output
            continue
        if not _holds(works, part):
            known = original.get_layer(layer.name)
            inner = first_failing_layer(known, layer, works) if getattr(layer, "layers", None) else None
            return inner or f"{known.name!r} ({type(known).__name__})"
    return None


def _holds(works: Callable[[Any], bool], part: Any) -> bool:  # noqa: ANN401 - Keras has no types
    try:
        return works(part)
    except Exception:  # noqa: BLE001 - each converter has its own, and many of them are bare
        return False
