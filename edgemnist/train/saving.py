"""The Keras model as bytes, the same for the same model, whenever and by whichever process they are made."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that the ZIP format can express."""


def model_bytes(model: keras.Model) -> bytes:
    """Return the contents of a `.keras` file, without date and memory addresses.

    Raises OSError where the system's temporary directory cannot hold it.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.keras"
        model.save(path)
        saved = path.read_bytes()
    normalized = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved)) as source, zipfile.ZipFile(normalized, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name.endswith(".json"):
                data = _normalized_json(data)
            target.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), data)
    return normalized.getvalue()


def _normalized_json(data: bytes) -> bytes:
    document = json.loads(data)
    document.pop("date_saved", None)
    _number_shared_objects(document, {})
    return json.dumps(document).encode()


def _number_shared_objects(node: Any, numbers: dict[int, int]) -> None:  # noqa: ANN401 - any part of a JSON document
    """Replace the addresses by which Keras marks shared objects with 1, 2, 3 …, in order of appearance."""
    if isinstance(node, dict):
        if "shared_object_id" in node:
            node["shared_object_id"] = numbers.setdefault(node["shared_object_id"], len(numbers) + 1)
        for child in node.values():
            _number_shared_objects(child, numbers)
    elif isinstance(node, list):
        for child in node:
            _number_shared_objects(child, numbers)
