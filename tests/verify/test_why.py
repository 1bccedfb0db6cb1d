"""Why labels flip: each repair against the integer reference, each cause where it was made, and the files."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.model.exports import Exports
from edgemnist.model.runtimes.integer import IntegerClassifier, Rounding
from edgemnist.model.runtimes.tflite import Graph, read_graph_file
from edgemnist.pipeline.verify import why
from tests.conftest import OLD_EXPORTS, Run
from tests.native.networks import random_graph, random_images, spec_of

TFLITE = OLD_EXPORTS / "tflite-int8.tflite"


def test_a_repaired_operator_is_less_than_a_step_from_the_specification() -> None:
    """The real form of each operator is that of its integers: rounding once or twice is all that lies between them."""
    seen: Counter[str] = Counter()
    for seed in range(3000, 3040):
        graph, spec = random_graph(seed), spec_of(random_graph(seed))
        try:
            reference = IntegerClassifier(graph, Path("random"), spec=spec, numbers=True)
        except ValueError:
            continue
        form = why._Form(graph, Rounding(), {})
        values = form.run({graph.inputs[0]: reference.held(random_images(3, seed).reshape(-1, *spec.shape))})
        for repair in form.repairs():
            if repair.kind == why.SCALE and repair.place in form.position:
                kind = form.steps[form.position[repair.place]].operator.kind
                made = form.run(values, [repair])
                off = np.abs(made[repair.place].reshape(3, -1) - values[repair.place].reshape(3, -1))
                assert off.max() < 0.8, (seed, kind)
                seen[kind] += int(np.count_nonzero(off))
    assert min(seen[kind] for kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "SOFTMAX")) > 0


def changed(graph: Graph, index: int, **fields: Any) -> Graph:
    """Return a graph with another tensor."""
    tensors = [replace(one, **fields) if at == index else one for at, one in enumerate(graph.tensors)]
    return replace(graph, tensors=tuple(tensors))


def damaged(cause: str) -> tuple[Graph, int | None]:
    """Return a graph that flips labels for one cause, and the operator where it does."""
    graph = read_graph_file(TFLITE)
    first, second = (one for one in graph.operators if one.kind == "FULLY_CONNECTED")
    operator: int | None = graph.operators.index(first)
    if cause in {why.SATURATION, why.SCALE}:
        # The next layer's bias is in steps of the scale, too.
        factor = np.float32(0.2 if cause == why.SATURATION else 60)
        steps = np.rint(graph.tensors[second.inputs[2]].values().astype(np.float64) / factor).astype("<i4")
        graph = changed(graph, second.inputs[2], content=steps.view(np.uint8).reshape(-1))
        graph = changed(graph, first.outputs[0], scales=graph.tensors[first.outputs[0]].scales * factor)
    elif cause == why.WEIGHTS:
        coarse = (np.rint(graph.tensors[first.inputs[1]].values().astype(np.float64) / 60) * 60).astype(np.int8)
        graph = changed(graph, first.inputs[1], content=coarse.view(np.uint8).reshape(-1))
    elif cause == why.ROUNDING:
        # One logit is half a step below 0, which one rule rounds up and the other down, to the first one's.
        operator = graph.operators.index(second)
        bias = np.array([-16, -8, *[-160] * 8], dtype="<i4")
        graph = changed(graph, second.inputs[2], content=bias.view(np.uint8))
        graph = changed(graph, second.inputs[1], content=np.zeros_like(graph.tensors[second.inputs[1]].content))
        for index, scale in ((first.outputs[0], 1 / 16), (second.inputs[1], 1), (second.outputs[0], 1)):
            graph = changed(graph, index, scales=np.full(1, scale, np.float32))
    elif cause == why.TIE:
        # Logits so small that no step of a probability tells them apart.
        operator = graph.operators.index(second) + 1
        for index in (second.inputs[1], second.outputs[0]):
            graph = changed(graph, index, scales=graph.tensors[index].scales / np.float32(100))
    else:
        operator = None
    return graph, operator


@pytest.mark.parametrize("cause", [why.SATURATION, why.SCALE, why.WEIGHTS, why.INPUT, why.ROUNDING, why.TIE])
def test_the_cause_that_was_put_into_a_file_is_found_at_its_place(cause: str) -> None:
    (graph, operator), golden = damaged(cause), Exports.open(OLD_EXPORTS).read_golden()
    sound, source = read_graph_file(TFLITE) if cause == why.WEIGHTS else graph, graph.inputs[0]
    constants = {one.outputs[0]: why.stored(sound, one) for one in sound.operators if one.kind == "FULLY_CONNECTED"}
    reference = IntegerClassifier(graph, Path("damaged"), spec=golden.task.input)
    form = why._Form(graph, Rounding("double" if cause == why.ROUNDING else "single"), constants)
    base = why._Form(graph, Rounding(), constants)
    held, real = reference.held(golden.images), reference.spec.real(golden.images).astype(np.float64)
    real = 6 * real - 3 if cause == why.INPUT else real
    values = form.run({source: held})
    # The reference: the other rule, or everything in real numbers.
    wanted = base.labels(base.run({source: held}, () if cause == why.ROUNDING else list(base.repairs()), real))
    flipped = form.labels(values) != wanted
    assert np.count_nonzero(flipped) >= 5
    asked = form, held[flipped], real[flipped]
    found = why._explained(*asked, wanted[flipped], base if cause == why.ROUNDING else None)
    causes = Counter((one["cause"], one["repaired"], one["operator"]) for one in found.values())
    named, times = causes.most_common(1)[0]
    assert named == (cause, 1, operator)
    assert times >= 0.7 * np.count_nonzero(flipped)
    # What is named was proven: where nothing gives a label back, nothing is.
    assert why._explained(*asked, np.full(np.count_nonzero(flipped), -1), None) == {}


def test_flips_are_explained_on_page_and_in_json(edgemnist: Run, old_exports: Path) -> None:
    given = ("verify", "tflite-int8@integer", "--exports", old_exports)
    page = edgemnist(*given, "--why").stdout
    saved = json.loads((old_exports / "verify.json").read_text())["artifacts"]
    (artifact,) = (one for one in saved if one["name"] == "tflite-int8@integer")
    assert [one["index"] for one in artifact["why"]] == [one["index"] for one in artifact["flipped"]] != []
    assert f"{len(artifact['why'])} of {len(artifact['why'])} labels came back when the cause was repaired" in page
