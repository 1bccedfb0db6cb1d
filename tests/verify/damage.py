"""Real artifacts, made wrong on purpose: from the contents of a good file to those of a bad one."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.model.exports.manifest import GOLDEN_FILE, MANIFEST_FILE, Manifest, read_manifest

Damage = Callable[[bytes], bytes]


def replace_artifact(exports: Path, name: str, data: bytes, **fields: Any) -> None:
    """Put other contents in an artifact's place, with a manifest that vouches for them."""
    artifact = read_manifest(exports).artifact(name)
    changed = msgspec.structs.replace(artifact, bytes=len(data), sha256=sha256(data), **fields)
    (exports / artifact.file).write_bytes(data)
    edit_manifest(exports, lambda manifest: manifest.with_artifacts([changed]))


def damage_artifact(exports: Path, name: str, damage: Damage) -> None:
    """Make an artifact wrong, with a manifest that vouches for it."""
    artifact = read_manifest(exports).artifact(name)
    replace_artifact(exports, name, damage((exports / artifact.file).read_bytes()))


def edit_manifest(exports: Path, edit: Callable[[Manifest], Manifest]) -> None:
    """Rewrite the manifest."""
    (exports / MANIFEST_FILE).write_bytes(edit(read_manifest(exports)).encode())


def with_golden(directory: Path, change: Callable[[GoldenPack], GoldenPack]) -> Exports:
    """Give a directory another golden pack, as another export would, and return it opened."""
    pack = change(Exports.open(directory).read_golden())
    data = pack.encode()
    (directory / GOLDEN_FILE).write_bytes(data)
    record = {"bytes": len(data), "sha256": sha256(data), "images": len(pack), "model_sha256": pack.model_sha256}
    replaced = msgspec.structs.replace
    edit_manifest(directory, lambda one: replaced(one, golden=replaced(one.golden, **record), answers=None))  # type: ignore[type-var]  # a manifest
    return Exports.open(directory)


def first(images: int) -> Callable[[GoldenPack], GoldenPack]:
    """Return what leaves so many images in a pack."""
    return lambda pack: dataclasses.replace(
        pack, images=pack.images[:images], truth=pack.labels[:images], probabilities=pack.probabilities[:images]
    )


def flip_bits_in_the_middle(data: bytes, *, count: int = 2048) -> bytes:
    """Change `count` bytes in the midst of the file, which in every format are weights of the first layer."""
    changed = bytearray(data)
    for index in range(len(data) // 2, len(data) // 2 + count):
        changed[index] ^= 0x55
    return bytes(changed)


# ---------------------------------------------------------------------------------------------- TFLite


def _edit_tflite(data: bytes, edit: Callable[[Any], None]) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    edit(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _dense_layers(model: Any) -> list[list[Any]]:
    """Return the tensors of each fully connected layer: input, weights, bias and output."""
    graph = model.subgraphs[0]
    layers = [operator for operator in graph.operators if len(operator.inputs) == 3]
    return [[graph.tensors[index] for index in (*layer.inputs, *layer.outputs)] for layer in layers]


def scale_tflite_weights(data: bytes) -> bytes:
    """Make the scales of the last layer 1.5 times what they should be, of weights and bias alike."""

    def edit(model: Any) -> None:
        _, weights, bias, _ = _dense_layers(model)[-1]
        for tensor in (weights, bias):
            tensor.quantization.scale = tensor.quantization.scale * np.float32(1.5)

    return _edit_tflite(data, edit)


def clip_hidden_activations(data: bytes) -> bytes:
    """Make the scale of the hidden activations a fifth of what it should be, as a bad calibration does."""

    def edit(model: Any) -> None:
        hidden = _dense_layers(model)[-1][0]
        hidden.quantization.scale = hidden.quantization.scale / np.float32(5)

    return _edit_tflite(data, edit)


def round_scales_to_powers_of_two(data: bytes) -> bytes:
    """Let the last layer's sums be divided by a power of two, so that many of them lie half-way between two steps.

    Its numbers are brought to the next larger scales, and stand for what they did.
    """

    def edit(model: Any) -> None:
        hidden, weights, bias, logits = _dense_layers(model)[-1]
        for tensor in (hidden, logits):
            tensor.quantization.scale = np.exp2(np.ceil(np.log2(tensor.quantization.scale))).astype(np.float32)
        scales = np.exp2(np.ceil(np.log2(weights.quantization.scale))).astype(np.float32)
        for tensor, dtype, new in ((weights, np.int8, scales), (bias, np.int32, hidden.quantization.scale * scales)):
            buffer = model.buffers[tensor.buffer]
            numbers = np.frombuffer(bytes(buffer.data), dtype).reshape(tensor.shape[0], -1)
            factors = (tensor.quantization.scale / new).reshape(-1, 1)
            buffer.data = np.frombuffer(np.rint(numbers * factors).astype(dtype).tobytes(), np.uint8)
            tensor.quantization.scale = np.broadcast_to(new, np.shape(tensor.quantization.scale)).astype(np.float32)

    return _edit_tflite(data, edit)


def shift_zero_point_of_logits(data: bytes) -> bytes:
    """Move the zero point of the logits up to 120, so that none can be far above zero."""

    def edit(model: Any) -> None:
        logits = _dense_layers(model)[-1][-1]
        logits.quantization.zeroPoint = np.array([120], np.int64)

    return _edit_tflite(data, edit)


def swap_tflite_outputs(data: bytes) -> bytes:
    """Swap what the last layer computes for the classes 3 and 5."""

    def edit(model: Any) -> None:
        _, weights, bias, _ = _dense_layers(model)[-1]
        for tensor in (weights, bias):
            rows = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.uint8).reshape(tensor.shape[0], -1)
            model.buffers[tensor.buffer].data = swapped(rows).ravel()
            quantization = tensor.quantization
            if quantization is not None and quantization.scale is not None and len(quantization.scale) > 1:
                quantization.scale = swapped(quantization.scale)

    return _edit_tflite(data, edit)


def swapped(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the rows with 3 and 5 in each other's place."""
    order = np.arange(len(rows))
    order[[3, 5]] = [5, 3]
    return rows[order]


# ---------------------------------------------------------------------------------------------- ONNX


def _append_onnx(
    data: bytes, nodes: Sequence[tuple[str, list[str], dict[str, Any]]], *, classes: int = 10, **constants: Any
) -> bytes:
    """Append nodes (operator, inputs, attributes) to the graph; `@` among the inputs is the answer so far."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(data)
    graph = model.graph
    answer = graph.output[0].name
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == answer:
                node.output[place] = "answer_0"
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    for number, (operator, inputs, attributes) in enumerate(nodes):
        output = answer if number == len(nodes) - 1 else f"answer_{number + 1}"
        named = [f"answer_{number}" if name == "@" else name for name in inputs]
        graph.node.append(helper.make_node(operator, named, [output], **attributes))
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = classes
    return bytes(model.SerializeToString())


def swap_onnx_outputs(data: bytes) -> bytes:
    """Swap the columns 3 and 5 of the answer."""
    return _append_onnx(data, [("Gather", ["@", "order"], {"axis": 1})], order=swapped(np.arange(10)))


def forget_a_class(data: bytes) -> bytes:
    """Answer with nine probabilities, and say nothing of labels, of which there would be ten."""
    import onnx

    model = onnx.load_from_string(data)
    del model.metadata_props[:]
    data = model.SerializeToString()
    return _append_onnx(data, [("Gather", ["@", "kept"], {"axis": 1})], classes=9, kept=np.arange(9))


def answer_not_a_number(data: bytes) -> bytes:
    """Answer NaN, always."""
    return _append_onnx(data, [("Add", ["@", "nothing"], {})], nothing=np.float32(np.nan))


def answer_squares(data: bytes) -> bytes:
    """Answer with the squares of the probabilities, which do not add up to 1."""
    return _append_onnx(data, [("Mul", ["@", "@"], {})])


def mix_with_the_batch(data: bytes) -> bytes:
    """Mix a tenth of the batch's mean answer into each: alone, every image is answered as before."""
    import onnx

    # ReduceMean has its axes as an attribute before opset 18 and as an input from then on.
    opset = next(one.version for one in onnx.load_from_string(data).opset_import if one.domain in {"", "ai.onnx"})
    mean: tuple[str, list[str], dict[str, Any]] = (
        ("ReduceMean", ["@", "axes"], {"keepdims": 1}) if opset >= 18 else ("ReduceMean", ["@"], {"axes": [0]})
    )
    nodes = [mean, ("Mul", ["@", "tenth"], {}), ("Mul", ["answer_0", "rest"], {}), ("Add", ["@", "answer_2"], {})]
    return _append_onnx(data, nodes, axes=np.array([0]), tenth=np.float32(0.1), rest=np.float32(0.9))


def scale_onnx_weights(data: bytes) -> bytes:
    """Make the scale of the largest quantized tensor's weights 1.5 times what it should be."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(data)
    tensors = {one.name: one for one in model.graph.initializer}
    weights = max(
        (one for one in tensors.values() if one.data_type == onnx.TensorProto.INT8), key=lambda one: len(one.raw_data)
    )
    reader = next(node for node in model.graph.node if weights.name in node.input)
    name = reader.input[1]
    tensors[name].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensors[name]) * np.float32(1.5), name))
    return bytes(model.SerializeToString())
