"""A runtime is compared with the integer reference of its file, and with itself on the exporting machine."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.verdict import judge
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import GoldenPack, read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.exports.models import Model
from edgemnist.model.native.amalgamation import Origin, c_source
from edgemnist.model.native.classifier import read_network_file
from edgemnist.model.native.webassembly import About
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.fixedpoint import multipliers, multiply_in_float
from edgemnist.model.runtimes.integer import RESCALINGS, SOFTMAXES, IntegerClassifier, Rounding
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.pipeline.verify import parity, reference, run, screen
from edgemnist.pipeline.verify.gate import BATCH_DIFF, GATES, GateTable, allowed
from edgemnist.pipeline.verify.parity import Answers, spread_of
from edgemnist.pipeline.verify.reference import STEP, float_rounding, integer_answers, replay, replay_measurements
from tests.conftest import OLD_EXPORTS
from tests.notices import Notices
from tests.verify import damage
from tests.verify.gates import golden_of, missed_replay, subject


def test_an_answer_at_the_very_limit_of_the_gate_passes() -> None:
    gate = GATES["int8"]
    same = np.tile(np.array([[0.25, 0.75]], np.float32), (1_000, 1))
    found = replay(same, same, quantization="int8", output_scale=1 / 256)
    allowed = gate.allowed("max_batch_flips_percent", 1_000)
    at_limit = msgspec.structs.replace(found, flips=allowed, max_abs_diff=gate["max_batch_diff"])
    assert missed_replay(gate, at_limit) == []
    beyond = msgspec.structs.replace(found, flips=allowed + 1, max_abs_diff=gate["max_batch_diff"] * 1.1)
    first, second = missed_replay(gate, beyond)
    assert first == f"{allowed + 1:,} of 1,000 labels differ from the exporting machine's, {allowed:,} allowed"
    assert second.startswith("a probability differs by ")


REFERENCE = Path(__file__).parents[2] / "exports" / "reference"


def test_the_integer_reference_answers_for_the_shipped_artifact_and_for_no_other_format(tmp_path: Path) -> None:
    exports = Exports.open(REFERENCE)
    pack, model, notices = read_golden(REFERENCE, read_manifest(REFERENCE)), exports.model("tflite-int8"), Notices()
    few = dataclasses.replace(pack, images=pack.images[:20])
    answers = integer_answers(model, few, notices)
    assert answers is not None
    assert answers.shape == (20, 10)
    assert np.array_equal(answers, load(model.path, runtime="integer").predict_proba(few.images))
    assert model.twin == model.path
    other = dataclasses.replace(model, path=tmp_path / "other.onnx")
    assert integer_answers(other, few, notices) is None
    assert notices.messages == []


def test_the_integer_reference_reads_the_tflite_file_that_a_c_file_or_a_page_was_made_with(tmp_path: Path) -> None:
    model, tflite = Exports.open(REFERENCE).model("tflite-int8"), REFERENCE / "tflite-int8.tflite"
    labels = [str(label) for label in range(10)]
    origin = Origin(version="1", model_sha256="0" * 64, tflite_sha256=sha256(tflite.read_bytes()), labels=labels)
    said = {
        name: value for name, value in vars(origin).items() if name in {one.name for one in dataclasses.fields(About)}
    }
    about = About(**said, name="web-int8", scale=1 / 256, zero_point=0, logits=False)
    page = b'<script type="application/json" id="carried-about">' + msgspec.json.encode(vars(about)) + b"</script>"
    files = {"c-int8.c": c_source(read_network_file(tflite), origin).encode(), "web-int8.html": page}
    pack = read_golden(REFERENCE, read_manifest(REFERENCE))
    few = dataclasses.replace(pack, images=pack.images[:20])
    for name, data in files.items():
        made = dataclasses.replace(model, path=tmp_path / name)
        made.path.write_bytes(data)
        (tmp_path / "another.tflite").write_bytes(b"another")
        twin = tmp_path / "twin.tflite"
        twin.unlink(missing_ok=True)
        notices = Notices()
        assert made.twin is None
        assert integer_answers(made, few, notices) is None
        (message,) = notices.messages
        assert message.startswith(f"{made.path} was made with a TFLite file that is not beside it, so ")
        assert message.endswith("the integer reference does not check it.")
        twin.write_bytes(tflite.read_bytes())
        assert made.twin == twin
        answers = integer_answers(made, few)
        assert answers is not None
        assert np.array_equal(answers, load(tflite, runtime="integer").predict_proba(few.images))
        made.path.write_bytes(b"of somebody else")
        assert made.twin is None


def test_a_replay_says_by_how_much_and_on_how_many_images_the_answers_differ() -> None:
    there = np.tile(np.array([[0.9, 0.1]], np.float32), (10_000, 1))
    here = there.copy()
    here[:6] = 0.25, 0.75
    found = replay(here, there, quantization="int8", output_scale=1 / 256)
    assert (found.verdict, found.images, found.flips, found.differing, found.beyond_rounding) == (
        "flips", 10_000, 6, 12, 12,
    )  # fmt: skip
    assert found.max_steps == round(0.65 * 256)
    assert missed_replay(GATES["int8"], found) == [
        "6 of 10,000 labels differ from the exporting machine's, 5 allowed",
        "a probability differs by 0.65 from the exporting machine's, 0.0078 allowed",
    ]
    here[5] = there[5]
    here[:5] = 0.899, 0.101
    assert missed_replay(GATES["int8"], replay(here, there, quantization="int8")) == []
    here[0] = np.nan
    broken = replay(here, there, quantization="int8", output_scale=1 / 256)
    assert (broken.max_abs_diff, broken.max_steps) == (float("inf"), None)
    assert "are not numbers" in missed_replay(GATES["int8"], broken)[-1]
    # A label that changed is a flip however small the change, and a tie is one, too.
    there[:] = 0.5 - STEP / 2, 0.5 + STEP / 2
    for near in ((0.5 + STEP / 2, 0.5 - STEP / 2), (0.5, 0.5)):
        here = there.copy()
        here[4] = near
        found = replay(here, there, quantization="int8", output_scale=STEP)
        assert (found.verdict, found.flips) == ("flips", 1)


@pytest.mark.parametrize(
    ("quantization", "units", "verdict"),
    [("float32", 15, "rounding"), ("float16", 15, "rounding"), ("float32", 18, "drift"), ("int8", 15, "drift")],
)
def test_numbers_that_hardly_spread_may_be_rounded_in_their_last_places(
    quantization: str, units: int, verdict: str
) -> None:
    # Of between 32 and 64, where a unit in the last place is 2^-18; they spread by 0.05.
    there = -np.random.default_rng(1).normal(40, 0.05, (200, 8)).astype(np.float32)
    here = there + np.float32(units * 2.0**-18)
    found = replay(here, there, quantization=quantization, numbers=True)
    assert found.verdict == verdict
    gate, spread = GATES["float32"], spread_of(there)
    least = float_rounding(there, quantization)
    assert judge(replay_measurements(gate, found, spread, least)).passed == (verdict == "rounding")
    # A limit that a person gave stays what it is.
    given = replace(gate, origins={BATCH_DIFF: "gate.toml"})
    assert not judge(replay_measurements(given, found, spread, least)).passed


def test_a_large_output_excuses_no_other() -> None:
    rng = np.random.default_rng(1)
    here, there = (np.stack([np.full(200, 1e6), rng.normal(0, 0.3, 200)], axis=1).astype(np.float32) for _ in "ab")
    found, spread = replay(here, there, quantization="float32", numbers=True), spread_of(there)
    assert found.verdict == "drift"
    least = float_rounding(there, "float32")
    assert not judge(replay_measurements(GATES["float32"], found, spread, least)).passed
    # Noise that a model never meets says less.
    for gate, outcome in ((GATES["int8"], "missed"), (GATES["int8"].on_random_inputs("int8"), "unknown")):
        assert judge(replay_measurements(gate, found, spread, least)).outcome == outcome


@pytest.mark.parametrize(
    ("off", "images", "quantization", "scale", "verdict"),
    [
        (0.0, 0, "int8", STEP, "identical"),
        # One step of a quantized output is rounding, and two are not.
        *((steps * STEP, 1, "int8", STEP, "rounding") for steps in (1, 1.4)),
        *((steps * STEP, 1, "int8", STEP, "drift") for steps in (1.6, 2)),
        (0.99e-5, 50, "float32", None, "rounding"),
        (1.01e-5, 50, "float32", None, "drift"),
        # One step of a hidden activation.
        *((1.1e-4, 1, one, None, "rounding") for one in ("dynamic", "int8")),
        (4.9e-3, 10, "dynamic", None, "rounding"),
        (5.1e-3, 10, "dynamic", None, "drift"),
        (4.9e-3, 11, "dynamic", None, "drift"),
        # Without quantized activations there is no such step.
        *((1.1e-4, 1, one, None, "drift") for one in ("float16", "float32")),
    ],
)
def test_each_verdict_of_replays(off: float, images: int, quantization: str, scale: float | None, verdict: str) -> None:
    there = np.tile(np.array([[0.0, 0.9]], np.float32), (10_000, 1))
    here = there.copy()
    here[:images, 0] = off
    found = replay(here, there, quantization=quantization, output_scale=scale)
    assert (found.verdict, found.differing, found.flips) == (verdict, images, 0)
    assert found.beyond_rounding == (images if verdict == "drift" else 0)
    assert found.max_steps == (None if scale is None else round(off / scale))


ZEROS = np.zeros((200, 10), np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return Exports.open(OLD_EXPORTS).model("tflite-int8@integer")


@pytest.fixture(scope="module")
def golden() -> GoldenPack:
    return Exports.open(OLD_EXPORTS).read_golden()


def answers_of(model: Model, golden: GoldenPack, rule: Rounding) -> Probabilities:
    return IntegerClassifier.load(model.path, rounding=rule).predict_proba(golden.images)


def test_the_rule_that_gives_the_answers_comes_first(model: Model, golden: GoldenPack) -> None:
    assert Rounding() == reference.RULES[0]
    assert len(set(reference.RULES)) == len(RESCALINGS) * len(SOFTMAXES)
    for rule in reference.RULES:
        answers = answers_of(model, golden, rule)
        found = reference.find_rounding(model, answers, golden)
        assert found is not None
        assert found.name == "tflite-int8@integer"
        assert len(found.rules) == len(reference.RULES)
        best = found.rules[0]
        assert (best.differing, best.images, best.flips, best.max_abs_diff) == (0, 0, 0, 0.0)
        assert [one.differing for one in found.rules] == sorted(one.differing for one in found.rules)
        # Of equals the one nearest to the reference.
        alike = [one for one in reference.RULES if np.array_equal(answers_of(model, golden, one), answers)]
        assert (best.rescaling, best.softmax) == (alike[0].rescaling, alike[0].softmax)


def test_where_no_rule_fits_the_first_operator_that_departs_is_named(golden: GoldenPack) -> None:
    """LiteRT rounds a dense layer once; held against a rule that rounds twice, it departs there by a step."""
    exports = Exports.open(OLD_EXPORTS)
    result = run.verify(exports, ["tflite-int8@litert"], rounding=True)
    assert [one.departure for one in result.rounding] == [None]
    best = result.rounding[0].rules[0]
    model = exports.model("tflite-int8@litert")
    found = reference.find_departure(model, golden, msgspec.structs.replace(best, rescaling="double"))
    assert found is not None
    assert (found.kind, found.max_steps) == ("FULLY_CONNECTED", 1)
    assert 0 < found.differing < found.values / 20
    graph = read_graph_file(model.path)
    operator = graph.operators[found.operator]
    assert (operator.kind, graph.tensors[operator.outputs[0]].name) == (found.kind, found.tensor)
    assert reference.find_departure(replace(model, runtime="integer"), golden, best) is None
    shown = screen._departs(msgspec.structs.replace(result.rounding[0], departure=found))
    assert f"first operator to depart is FULLY_CONNECTED, operator {found.operator}" in shown


def test_what_differs_is_counted_in_values_images_and_labels(model: Model, golden: GoldenPack) -> None:
    answers = answers_of(model, golden, Rounding())
    answers[3, :2] += np.float32(4 * STEP)
    answers[5] = np.roll(answers[5], 1)
    found = reference.find_rounding(model, answers, golden)
    assert found is not None
    (own,) = [one for one in found.rules if (one.rescaling, one.softmax) == ("single", "integer")]
    exact = answers_of(model, golden, Rounding())
    assert own.differing == np.count_nonzero(exact != answers)
    assert own.images == 2
    assert own.flips == 1
    assert own.max_abs_diff == pytest.approx(float(np.abs(exact - answers).max()))
    best = answers_of(model, golden, Rounding(found.rules[0].rescaling, found.rules[0].softmax))
    listed = {(one.index, one.output): (one.answer, one.expected) for one in found.unexplained}
    places = map(tuple, np.argwhere(best != answers).tolist())
    assert listed == {place: (answers[place], best[place]) for place in places}
    assert "Not explained: image 3, output 0: " in screen._unexplained(found, "image")


@pytest.mark.parametrize(("off", "explained"), [(0.0, True), (STEP, True), (1.01 * STEP, False), (8 * STEP, False)])
def test_a_step_of_the_softmax_is_explained(off: float, *, explained: bool, model: Model, golden: GoldenPack) -> None:
    answers = answers_of(model, golden, Rounding("single", "integer"))
    answers[0, 0] = np.float32(answers[0, 0] + np.float32(off))
    rescaling = reference.explaining_rescaling(model, answers, golden)
    assert rescaling == ("single" if explained else None)


def test_a_rule_may_explain_what_differs_in_more_values_under_it_than_under_another(
    model: Model, golden: GoldenPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that is far off in one value explains nothing, and neither does one that is a step off in many."""
    answers = answers_of(model, golden, Rounding())
    one_far, few_near, many_near = answers.copy(), answers.copy(), answers + np.float32(STEP / 4)
    one_far[0, 0] += np.float32(0.5)
    few_near[: allowed(reference.STEPPED, answers.size), 0] += np.float32(STEP)

    class Fixed:
        def __init__(self, rule: Rounding) -> None:
            self.answers = {"double": few_near, "single": one_far, "float": many_near}[rule.rescaling]
            self.done = 0

        def answer(self, images: np.ndarray) -> Probabilities:
            self.done += len(images)
            return self.answers[self.done - len(images) : self.done]

    monkeypatch.setattr(IntegerClassifier, "load", lambda *_, rounding, **__: Fixed(rounding))
    found = reference.find_rounding(model, answers, golden)
    assert found is not None
    assert reference.explaining_rescaling(model, answers, golden) == "double"
    few_near[allowed(reference.STEPPED, answers.size), 0] += np.float32(STEP)
    assert reference.explaining_rescaling(model, answers, golden) is None


def test_verify_passes_what_a_rule_explains_up_to_its_limit(old_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT rounds halves to even, the reference upwards: with many halves, probabilities are steps apart."""
    damage.damage_artifact(old_exports, "tflite-int8", damage.round_scales_to_powers_of_two)
    # Coarser scales cost a little, which is not the question here.
    coarser = {"max_mean_diff": 0.01, "max_drop_points": 5.0}
    gates = GateTable(changes={"int8": coarser})
    most = allowed(reference.STEPPED, 2_000)
    assert (allowed(reference.STEPPED, 100_000), most) == (10, 1)
    for stepped, passed in ((0, True), (most, True), (most + 1, False)):

        def ask(*arguments: Any, stepped: int = stepped) -> Answers:
            answers = parity.ask(*arguments)
            rows = np.arange(stepped)
            answers.single[rows, answers.single.argmin(axis=1)[rows]] += np.float32(STEP)
            return answers

        monkeypatch.setattr(run, "ask", ask)
        (found,) = run.verify(Exports.open(old_exports), ["tflite-int8"], gates=gates).artifacts
        assert found.integer is not None
        assert found.integer.max_abs_diff > 2 * STEP
        assert (found.passed, found.integer.rescaling) == (passed, "float" if passed else None), found.reasons
        assert passed or found.reasons == [
            "the runtime differs from the integer reference by 0.016 on the same file, 0.0039 allowed"
        ]
    monkeypatch.undo()
    gates = GateTable(changes={"int8": {**coarser, "max_integer_diff": STEP}})
    assert not run.verify(Exports.open(old_exports), ["tflite-int8"], gates=gates).passed


@pytest.mark.parametrize(
    ("flips", "far", "passed"), [(529, 0.0, True), (530, 0.0, False), (0, 0.2099, True), (0, 0.2101, False)]
)
def test_another_rule_on_the_exporting_machine_excuses_no_more_than_quantization_may_change(
    flips: int, far: float, *, passed: bool
) -> None:
    # With an impurity of 0.5, 5.3 % of the labels may change, and a probability by 0.21.
    here = np.tile(np.array([[0.499, 0.501]], np.float32), (10_000, 1))
    here[5_000] = 0.501, 0.499
    there = here.copy()
    there[:flips] = 0.501, 0.499
    there[-1] += np.array([-far, far], np.float32)
    pack = golden_of(here)
    explains: list[Callable[[Probabilities], str | None]] = [lambda _: "double", lambda _: None]
    for explain in explains:
        answers, one = Answers(single=here, batched=here), subject(runtime="integer", exported=there)
        found = run.parity_of(one, pack, answers, GATES["int8"], explain=explain)
        assert found.passed == (passed and explain is explains[0]), found.reasons


def test_the_range_of_the_model_is_kept(model: Model, golden: GoldenPack, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, spec = [], InputSpec.of_range((28, 28), "0..255")

    def load(path: Path, **options: object) -> IntegerClassifier:
        asked.append((path, options))
        raise ArtifactError("seen")

    monkeypatch.setattr(IntegerClassifier, "load", load)
    assert reference.find_rounding(replace(model, record=None, spec=spec), ZEROS, golden) is None
    assert asked == [(model.path, {"spec": spec, "numbers": False, "rounding": reference.RULES[0]})]


def test_what_the_reference_cannot_compute_has_no_rule(golden: GoldenPack, model: Model, tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int x;\n")
    others = [Exports.open(OLD_EXPORTS).model(name) for name in ("onnx-float32", "tflite-float32")]
    for one in (*others, replace(model, path=tmp_path / "other.c")):
        assert reference.find_rounding(one, ZEROS, golden) is None
        assert reference.explaining_rescaling(one, ZEROS, golden) is None
    notices = Notices()
    verify = run.verify(Exports.open(OLD_EXPORTS), ["tflite-int8", "tflite-float32"], notices, rounding=True)
    assert [one.name for one in verify.rounding] == ["tflite-int8"]
    assert notices.messages == []


def test_kernels_that_rescale_in_float32_compute_the_factors_in_float32(model: Model) -> None:
    """XNNPACK's factor is input scale * weight scale / output scale, each operation rounded: one bit decides a half."""
    graph = read_graph_file(model.path)
    layer = next(one for one in graph.operators if one.kind == "FULLY_CONNECTED")
    source, weights, target = (graph.tensors[index] for index in (layer.inputs[0], layer.inputs[1], layer.outputs[0]))
    mantissa, exponent = multipliers(source, weights, target, multiply_in_float)
    factors = source.scales.astype(np.float32) * weights.scales.astype(np.float32) / target.scales.astype(np.float32)
    assert factors.dtype == np.float32
    assert np.array_equal(np.ldexp(mantissa.astype(np.float64), exponent - 31), factors.astype(np.float64))
    exactly, _ = multipliers(source, weights, target)
    rounded = np.ldexp(exactly.astype(np.float64), exponent - 31).astype(np.float32)
    assert np.count_nonzero(rounded != factors), "the two ways to compute a factor differ in no output of this layer"
    # All sums near a half, where that bit decides, through the layer itself.
    sums = np.rint((np.arange(-20, 21) + 0.5) / factors.astype(np.float64)[:, None]).astype(np.int64)
    expected = np.rint(sums.T.astype(np.float32) * factors).astype(np.int64)
    assert np.array_equal(multiply_in_float(sums.T, mantissa, exponent), expected)
