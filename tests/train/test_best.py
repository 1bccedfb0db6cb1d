"""The recipe `best`: a teacher that is kept, a student that is plain Keras, and what is wrong with a teacher's file."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest

from edgemnist.digits.training import RECIPES
from edgemnist.errors import TrainingError
from edgemnist.ground.progress import SILENT
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.train.distillation import AugmentedCopies, Teachers
from edgemnist.pipeline.train.loop import draw_randomness
from edgemnist.pipeline.train.recipes import Distillation, Recipe, TrainConfig, plan_for
from edgemnist.pipeline.train.run import predict_proba, train
from tests.notices import Listener
from tests.train.conftest import quick

CONFIG = TrainConfig(recipe="best", hidden=(48,), epochs=10, seed=2)

Best = tuple[Path, TrainResult, Listener]


@pytest.fixture(scope="module")
def best(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Best]:
    """Return a directory that `best` was trained into, the result, and what was told. Read only."""
    exports, listener = tmp_path_factory.mktemp("best"), Listener()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "best", quick(RECIPES["best"]))
        yield exports, train(dataset, CONFIG, exports, listener), listener


def distillation(recipe: Recipe) -> Distillation:
    assert recipe.distillation is not None
    return recipe.distillation


def teacher_of(best: Best) -> Path:
    assert best[1].teacher is not None
    return best[0] / best[1].teacher


def test_the_student_is_plain_keras(best: Best) -> None:
    model = keras.saving.load_model(best[0] / "model.keras")
    assert [type(layer) for layer in model.layers] == [keras.layers.Flatten, keras.layers.Dense, keras.layers.Dense]
    assert best[1].test_accuracy > 0.75


def test_the_teacher_is_a_plain_keras_model_and_knows_more_than_the_student(best: Best, dataset: Dataset) -> None:
    teacher = keras.saving.load_model(teacher_of(best))
    kinds = {type(layer).__name__ for layer in teacher.layers}
    assert kinds == {"Reshape", "Conv2D", "Flatten", "Dense"}
    answers = predict_proba(teacher, dataset.test.images).argmax(axis=1)
    assert np.mean(answers == dataset.test.labels) > 0.9


def test_a_fitting_teacher_is_reused(
    best: Best, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "best", quick(RECIPES["best"]))
    kept = teacher_of(best)
    (tmp_path / kept.name).write_bytes(kept.read_bytes())
    listener = Listener()
    again = train(dataset, CONFIG, tmp_path, listener)
    assert again.sha256 == best[1].sha256
    # The student, and no training of a teacher before it.
    assert listener.totals == [10]
    assert best[2].totals == [3, 10]
    assert (tmp_path / kept.name).read_bytes() == kept.read_bytes()


def test_other_seeds_recipes_and_data_have_teachers_of_their_own_and_seeds_can_share_one(
    best: Best, dataset: Dataset, quick_best: Recipe, tmp_path: Path
) -> None:
    taught, teachers = distillation(quick_best), Teachers(tmp_path)
    fewer = dataset.train.take(np.arange(len(dataset.train) - 1))
    longer = replace(taught, teacher=replace(taught.teacher, learning_rate=1e-3))
    names = {
        teachers.file(recipe, split, classes=10, seed=seed).name
        for recipe, split, seed in (
            (taught, dataset.train, 2),
            (taught, dataset.train, 3),
            (taught, fewer, 2),
            (longer, dataset.train, 2),
        )
    }
    first = teacher_of(best).name
    assert first in names
    assert len(names) == 4
    shared = replace(CONFIG, seed=77, teacher_seed=2, epochs=1)
    (tmp_path / first).write_bytes(teacher_of(best).read_bytes())
    assert train(dataset, shared, tmp_path).teacher == first


@pytest.mark.usefixtures("quick_best")
@pytest.mark.parametrize("damage", ["cut in half", "a directory"])
def test_an_unfit_teacher_is_told_and_left_alone(damage: str, best: Best, dataset: Dataset, tmp_path: Path) -> None:
    name, data = teacher_of(best).name, teacher_of(best).read_bytes()
    path = tmp_path / name
    if damage == "a directory":
        path.mkdir()
    else:
        path.write_bytes(data[: len(data) // 2])
    before = path.is_file() and path.read_bytes()
    with pytest.raises(TrainingError, match=r"cannot be read|is damaged") as failure:
        train(dataset, CONFIG, tmp_path)
    assert failure.value.hint == "Delete it, and the teacher will be trained again."
    assert {found.name: found.is_file() and found.read_bytes() for found in tmp_path.iterdir()} == {name: before}


def test_copies_go_from_the_images_to_ever_stronger_distortions(
    best: Best, dataset: Dataset, quick_best: Recipe
) -> None:
    _, copies = Teachers(best[0]).copies(distillation(quick_best), dataset.train, classes=10, seed=2, reporter=SILENT)
    images = [np.asarray(copies.copy(number, 0).images) for number in range(copies.copies)]
    np.testing.assert_array_equal(images[0], dataset.train.images)
    changes = [np.abs(copy.astype(float) - dataset.train.images).mean() for copy in images]
    assert changes == sorted(changes)
    assert changes[1] > 1
    schedule = copies.schedule(seed=5)
    shown = [np.asarray(schedule(epoch).images) for epoch in range(1, 5)]
    for copy in images:
        assert sum(np.array_equal(copy, one) for one in shown) == 1


def test_copies_are_made_again_after_some_epochs_and_another_training_has_the_same_ones(
    best: Best, dataset: Dataset, quick_best: Recipe
) -> None:
    def fresh_copies() -> AugmentedCopies:
        taught = replace(distillation(quick_best), uses=2)
        return Teachers(best[0]).copies(taught, dataset.train, classes=10, seed=2, reporter=SILENT)[1]

    copies = fresh_copies()
    # Copy 1 is renewed in the turns 1, 3 and 5, and the images as they are never.
    shown = [np.asarray(copies.copy(1, turn).images) for turn in range(6)]
    alike = [np.array_equal(one, other) for one, other in pairwise(shown)]
    assert alike == [False, True, False, True, False]
    assert all(np.array_equal(copies.copy(0, turn).images, dataset.train.images) for turn in range(6))
    answers = np.asarray(copies.copy(1, 5).targets)
    again = fresh_copies().copy(1, 5)
    np.testing.assert_array_equal(again.images, shown[5])
    np.testing.assert_array_equal(again.targets, answers)


def test_noise_reaches_half_of_each_batch_and_keeps_to_its_limit() -> None:
    plan = plan_for(TrainConfig(recipe="best", epochs=4, batch_size=20), images=100, parameters=407_050)
    assert draw_randomness(plan, 1, 100).noise.size == 0
    drawn = draw_randomness(plan, 4, 100)
    assert drawn.sigmas.shape == (5, 10)
    assert 0.1 < drawn.sigmas.max() <= 0.15
    assert abs(float(drawn.noise.std()) - 1) < 0.02
