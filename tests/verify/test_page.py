"""The page says what matters most, once, in three lines."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Group

from edgemnist.ground.results.verdict import COMMAND_LINE
from edgemnist.ground.results.verify import NOT_RUN, ArtifactParity, Unusable, VerifyResult
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.pipeline.verify.gate import GATES
from edgemnist.pipeline.verify.parity import Answers
from edgemnist.pipeline.verify.run import parity_of
from edgemnist.pipeline.verify.screen import board_step, files_step, next_words, verify_page
from tests.bench.test_recommend import parity, verified
from tests.render.test_narrow import lines_of, unfolded
from tests.verify.gates import golden_of, subject


def missed(name: str, *reasons: str, **changes: Any) -> ArtifactParity:
    return msgspec.structs.replace(parity(name, passed=False), reasons=list(reasons), **changes)


LOGITS = "export --format tflite --quantize int8 --logits"
LOSS = {"accuracy_drop_points": 7.3, "mcnemar_p": 2e-15, "significant_loss": True}
SLIGHT = msgspec.structs.replace(
    parity("onnx-int8"), accuracy_drop_points=0.08, mcnemar_p=0.02, significant_loss=True, ties=3, flips=9
)


def below(result: VerifyResult) -> list[str]:
    page = verify_page(result, step="edgemnist next")
    assert isinstance(page, Group)
    return [unfolded(lines_of(one, 1000)).strip() for one in page.renderables[2:]]


@pytest.mark.parametrize("warnings", [[], ["the reference only guesses", "other data"]])
@pytest.mark.parametrize("unusable", [[], [Unusable(name="tflite-int4", status="damaged", reason="it is cut off")]])
@pytest.mark.parametrize(
    "artifacts",
    [
        [parity("a-int8")],
        [parity("a-int8"), SLIGHT],
        [missed("b-int8", "too many flips"), missed("c-int8", "too many flips"), missed("a-int8", "lost", **LOSS)],
        [missed(f"{name}-int8", f"reason {name}") for name in "abcdef"] + [SLIGHT],
    ],
)
def test_below_the_table_are_three_lines_at_most_with_the_loss_first(
    artifacts: list[ArtifactParity], unusable: list[Unusable], warnings: list[str]
) -> None:
    result = verified(*artifacts)
    passed = result.passed and not unusable
    lines = below(msgspec.structs.replace(result, passed=passed, unusable=unusable, warnings=warnings))
    assert len(lines) <= 3
    assert lines[-1].endswith("Next: edgemnist next")
    text = " ".join(lines)
    for warning in warnings:
        assert text.count(warning) == 1
    names = [one.name for one in artifacts if one.reasons or one.loss] + [one.name for one in unusable]
    assert [name for name in names if name not in text] == []
    if any(one.loss for one in artifacts if not one.passed):
        assert lines[0].startswith("a-int8: lost. b-int8, c-int8: too many flips.")
    if SLIGHT in artifacts:
        assert (
            "onnx-int8 is 0.08 points less accurate, more than chance explains (McNemar's exact test, p 0.02)." in text
        )


def tied(images: int, ties: int) -> tuple[GoldenPack, Answers]:
    """The first `ties` images are labelled 0 by a tie, and are 1, as all others are but the last."""
    reference = np.tile(np.array([[0.496, 0.504]], np.float32), (images, 1))
    reference[-1] = reference[-1, ::-1]
    answers = np.round(reference * 256) / np.float32(256)
    answers[:ties] = 0.5
    return golden_of(reference), Answers(single=answers, batched=answers)


@pytest.mark.parametrize(
    ("scale", "off_grid", "cure"),
    [(1 / 256, 0.0, LOGITS), (0.02, 0.0, None), pytest.param(1 / 256, 1e-3, None, id="shares of sigmoids")],
)
def test_an_output_that_is_too_coarse_misses_the_gate_with_its_cure(
    scale: float, off_grid: float, cure: str | None
) -> None:
    pack, answers = tied(1_000, 73)
    answers.single[73:, 1] += np.float32(off_grid)
    gate = GATES["int8"].given({"max_drop_points": 0.5, "max_flips_percent": 1}, COMMAND_LINE)
    found = parity_of(subject(output_scale=scale), pack, answers, gate)
    assert (found.passed, found.significant_loss, found.ties, found.cure) == (False, True, 73, cure)
    assert found.reasons[:2] == [
        "accuracy fell by 7.3 points, more than chance explains (p = 2.1e-22), 0.5 allowed",
        "73 labels changed (7.30 %), 10 allowed (1.00 %); 73 of them are ties",
    ]
    coarse = ["its output has only 256 steps, too few to tell those labels apart: logits have more"]
    assert found.reasons[2:] == (coarse if cure else [])
    result = verified(found)
    assert next_words(result, flips=False) == (cure or "verify tflite-int8 --flips")
    assert board_step(result, "pi", flips=False) == "edgemnist verify tflite-int8 --flips --on pi"
    given = {"--reference": "x.onnx", "--data": Path("my digits"), "--as": None}
    assert files_step(result, given, flips=True) == ""
    again = "edgemnist verify tflite-int8 --flips --reference x.onnx --data 'my digits'"
    assert files_step(result, given, flips=False) == ("" if cure else again)


@pytest.mark.parametrize(("others", "cured"), [(40, True), (41, False)])
def test_ties_are_the_cause_from_half_of_the_flips_on(others: int, *, cured: bool) -> None:
    pack, answers = tied(1_000, 40)
    answers.single[40 : 40 + others] = 0.625, 0.375
    found = parity_of(subject(output_scale=1 / 256), pack, answers, GATES["int8"])
    assert (found.ties, found.flips, found.cure is not None) == (40, 40 + others, cured)


def test_outdated_and_damaged_files_are_exported_again() -> None:
    pack, answers = tied(10, 0)
    changed = subject(mistakes=["model.keras has changed since the export"], outdated=True)
    found = parity_of(changed, pack, answers, GATES["int8"])
    assert next_words(verified(found), flips=False) == "export"
    broken = msgspec.structs.replace(
        verified(parity("a-int8")), passed=False, unusable=[Unusable(name="b", status="missing", reason="it is gone")]
    )
    assert next_words(broken, flips=False) == "export"
    assert next_words(verified(parity("a-int8")), flips=False) == "bench"


def test_a_bundle_is_judged_as_one_and_what_speaks_against_it_is_no_model() -> None:
    doubt = Unusable(name="b.zip", status=NOT_RUN, reason="it is not signed")
    for unusable, said in (([], "The bundle passes the gate."), ([doubt] * 9, "Whether the bundle passes the gate is")):
        result = verified(parity("a-int8"), parity("b-int8"))
        lines = below(msgspec.structs.replace(result, passed=not unusable, unusable=unusable, statement={"_type": ""}))
        assert lines[-1].startswith(said)
