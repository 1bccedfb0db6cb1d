"""What can learn, what cannot, and how what has learnt is written."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edgemnist.errors import ModelError, StorageError
from edgemnist.field.learn import run
from edgemnist.field.learn.cli import SHOWN, learn_page
from edgemnist.field.learn.present import read_present
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.results.samples import Contradiction, LearnResult, LeftOut, Paired
from edgemnist.model.exports import Exports
from tests.conftest import OLD_EXPORTS, run_edgemnist
from tests.render.test_narrow import drawn
from tests.samples.making import sample_of


@pytest.mark.all
def test_a_keras_model_is_read_as_it_computes() -> None:
    exports = Exports.open(OLD_EXPORTS)
    golden = exports.read_golden()
    scores = read_present(exports).logits(golden.images)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.abs(odds / odds.sum(axis=1, keepdims=True) - golden.probabilities).max() < 1e-5


def test_a_model_of_other_layers_cannot_learn(tmp_path: Path) -> None:
    import keras
    import msgspec

    from edgemnist.ground.storage import sha256
    from edgemnist.model.exports.manifest import MANIFEST_FILE, ModelRecord, read_manifest
    from edgemnist.model.runtimes.keras import model_bytes

    layers = [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    data = model_bytes(keras.Sequential(layers))
    exports = Path(shutil.copytree(OLD_EXPORTS, tmp_path / "exports"))
    (exports / "model.keras").write_bytes(data)
    record = ModelRecord(file="model.keras", bytes=len(data), sha256=sha256(data), parameters=1)

    manifest = msgspec.structs.replace(read_manifest(exports), model=record)
    (exports / MANIFEST_FILE).write_bytes(manifest.encode())
    with pytest.raises(ModelError, match="computes something other than a network that edgemnist trains"):
        read_present(Exports.open(exports))


def test_the_new_directory_appears_whole_with_its_result_if_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, left = tmp_path / "new", tmp_path / ".tmp-learn-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    result: Any = LearntNothing()

    def fill(place: Path) -> Any:
        (place / "model.keras").write_text("model")
        assert not out.exists()
        return result

    def fails(*_: object) -> None:
        assert not out.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises(KeyboardInterrupt):
            run._write(out, result, fill)
    assert list(tmp_path.iterdir()) == []
    run._write(out, result, fill)
    assert {path.name for path in out.iterdir()} == {"model.keras", "learn.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_nothing_is_written_of_a_model_whose_artifacts_miss_their_gates(tmp_path: Path) -> None:
    missed: Any = LearntNothing(passed=False)
    assert run._write(tmp_path / "new", missed, lambda _: missed) is missed
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_before_anything_is_forgotten_or_learnt(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        store.label(store.add(sample_of(1)) or 0, "1", "eve")
    words = ("--exports", "reference", "--forget", "eve", "--out", "file/new")
    done = run_edgemnist("learn", *words, cwd=tmp_path, env={"EDGEMNIST_OFFLINE": "1"})
    assert done.returncode == 2
    assert "error: file/new cannot be written: " in done.stderr
    assert "Name another directory with --out DIR." in done.stderr
    with SampleStore.open(tmp_path / "samples") as store:
        assert [one.label for one in store.samples()] == ["1"]
    assert {path.name for path in tmp_path.iterdir()} == {"file", "samples"}


def test_a_disk_that_gets_full_is_told_by_the_name_that_the_user_knows(tmp_path: Path) -> None:
    def fails(place: Path) -> Any:
        raise StorageError(f"{place} cannot be written", hint="--exports") from OSError(28, "No space left on device")

    with pytest.raises(StorageError) as caught:
        run._write(tmp_path / "new", cast("Any", LearntNothing()), fails)
    assert caught.value.message == f"{tmp_path / 'new'} cannot be written: No space left on device"
    assert caught.value.hint == "Name another directory with --out DIR."
    assert list(tmp_path.iterdir()) == []


@dataclass
class LearntNothing:
    """A result that can be written."""

    passed: bool = True

    def to_json(self) -> str:
        return "{}"


SAME = Paired(
    images=100, before=90, after=90, before_interval=None, after_interval=None, fixed=0, broken=0, p_value=1.0
)


def result_of(**fields: Any) -> LearnResult:
    """Return a result that missed the gate."""
    usual: dict[str, Any] = {
        "passed": False,
        "reasons": ["It is not better."],
        "exports": "exports",
        "out": None,
        "labels": ["0", "1"],
        "per_class": {"0": 50, "1": 50},
        "per_writer": {"ann": 100},
        "none_of_these": 0,
        "disputed": 0,
        "left_out": LeftOut(),
        "forgotten": None,
        "held_out": SAME,
        "golden": SAME,
        "int8_loss": None,
        "contradictions": [],
        "doubted": 0,
        "found": 0.84,
        "seconds": 1.0,
    }
    return LearnResult(**{**usual, **fields})


def page_of(**fields: Any) -> str:
    return drawn(learn_page(result_of(**fields), "edgemnist review kept"))


@pytest.mark.parametrize(("labels", "repeated"), [("0123456789", [2]), ("012345678", []), ("abcdefghij", [])])
def test_digits_alone_keep_their_former_word_for_what_shows_none_of_them(labels: str, repeated: list[int]) -> None:
    left_out = LeftOut(none_of_these=2, disputed=1)
    document = json.loads(result_of(labels=[*labels], none_of_these=2, left_out=left_out).to_json())
    for part in (document, document["left_out"]):
        assert part["none_of_these"] == 2
        assert [part[key] for key in part if key == "not_a_digit"] == repeated
    assert list(document)[:3] == ["schema_version", "verdict", "passed"]
    assert document["golden"]["images"] == 100


def test_the_labels_of_each_writer_are_told_apart() -> None:
    wrong = [Contradiction(sample=number, label="1", neighbours="7", writers=["eve"]) for number in range(3)]
    page = page_of(per_writer={"ann": 20, "eve": 80}, contradictions=wrong, doubted=3)
    lines = [line.split() for line in page.splitlines()]
    begin = lines.index(["writer", "labels", "look", "wrong"])
    assert lines[begin + 2 : begin + 4] == [["eve", "80", "3"], ["ann", "20", "0"]]
    many = page_of(per_writer={f"client-{number}": number for number in range(1, SHOWN + 3)})
    lines = [line.split() for line in many.splitlines()]
    assert ["client-12", "12", "0"] in lines
    assert ["2", "more"] in lines
    assert ["client-2", "2", "0"] not in lines
    # Nothing to tell apart.
    assert "look wrong" not in page_of()


def test_what_became_of_the_samples_is_said_as_it_is() -> None:
    read = Paired(
        images=500, before=89, after=136, before_interval=None, after_interval=None, fixed=60, broken=13, p_value=1e-7
    )
    left_out = LeftOut(unconfirmed=96, duplicates=1)
    page = " ".join(page_of(held_out=read, left_out=left_out, doubted=2).split())
    assert "It reads 27.2 % of samples that it has not learnt from" in page
    assert "Left out: 96 corrected by clients, and confirmed by nobody, 1 with the same pixels as another." in page
    assert "Of 10 labels changed at random, 8 would have been named." in page
    assert page.endswith("exports stays as it is. Next: edgemnist review kept")
    assert page_of().endswith("exports stays as it is.")


def test_of_many_labels_that_look_wrong_the_rest_is_counted() -> None:
    wrong = [Contradiction(sample=number, label="1", neighbours="7", writers=["eve"]) for number in range(SHOWN + 1)]
    assert "1 more" in page_of(contradictions=wrong, doubted=SHOWN + 1)
    assert "1 more" not in page_of(contradictions=wrong[:SHOWN], doubted=SHOWN)
