"""Any picture of one digit comes to MNIST's conditions."""

import contextlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edgemnist.digits.images import normalize_digit
from edgemnist.digits.images.find import find_digit
from edgemnist.digits.images.grey import Grey, quadruple
from edgemnist.digits.images.mnist import MIN_STROKE, fit_digit
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, verdicts_of
from edgemnist.errors import ImageError
from edgemnist.model.runtimes.interface import Classifier
from tests.images.drawing import digit
from tools.likeness.camera import photograph_digit
from tools.likeness.page import Digits
from tools.likeness.strokes import draw_thin


def normalized(pixels: Grey) -> Grey:
    return normalize_digit(Image.fromarray(pixels)).image


def likeness(one: Grey, other: Grey) -> float:
    """Return the correlation of two images, 1 where they are the same."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def centre_of_mass(image: Grey) -> tuple[float, float]:
    y, x = np.mgrid[0:28, 0:28]
    return float((image * y).sum() / image.sum()), float((image * x).sum() / image.sum())


@pytest.mark.parametrize("inverted", [False, True])
def test_what_has_mnists_size_passes_unchanged_or_inverted(digits: Digits, *, inverted: bool) -> None:
    for image in digits.images[:300]:
        result = normalize_digit(Image.fromarray(255 - image if inverted else image))
        assert result.inverted == inverted
        np.testing.assert_array_equal(result.image, image)


def test_mnists_own_digits_come_out_as_they_went_in_and_photographs_as_mnist_made_them(digits: Digits) -> None:
    # The procedure is MNIST's, so what was made by it is a fixed point, up to the grey of its edges.
    alike = [likeness(fit_digit(image), image) for image in digits.images[:200]]
    assert np.median(alike) > 0.95
    assert np.quantile(alike, 0.05) > 0.75
    rng = np.random.default_rng(1)
    for image in digits.images[:20]:
        result = normalized(photograph_digit(image, rng))
        rows, columns = (np.flatnonzero(result.any(axis=axis)) for axis in (1, 0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        # MNIST's own images have it between 13.5 and 14.5.
        assert np.abs(np.array(centre_of_mass(result)) - 14).max() <= 0.51


def test_a_digit_cropped_to_its_ink_reads_as_one_with_paper_around_it(digits: Digits, classifier: Classifier) -> None:
    cropped, wide = [], []
    for image in digits.images[:300]:
        strokes = enlarged_ink(image)
        cropped.append(normalized(on_paper(strokes)))
        wide.append(normalized(on_paper(np.pad(strokes, 40))))
    labels = digits.labels[:300]
    errors, usual = ((classifier.predict(np.stack(them)) != labels).sum() for them in (cropped, wide))
    assert errors <= usual + 4


def enlarged_ink(image: Grey) -> Grey:
    """Return the ink of one of MNIST's digits without anything around it, 160 pixels high or wide."""
    rows, columns = (np.flatnonzero(image.max(axis=axis) > 40) for axis in (1, 0))
    crop = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * 160 / max(crop.shape))) for side in crop.shape)
    return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC))


def on_paper(strokes: Grey) -> Grey:
    return np.round(205 * (1 - 0.7 * strokes / 255)).astype(np.uint8)


def test_digits_of_eight_pixels_are_hardly_refused(digits: Digits, classifier: Classifier) -> None:
    # Enlarged only after the digit was cut out, 16 % were.
    small = [np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BOX)) for image in digits.images[:600]]
    images = np.stack([normalized(255 - np.pad(image, 4)) for image in small])
    assert (verdicts_of(classifier, images).confidences < DEFAULT_MIN_CONFIDENCE).mean() <= 0.11


@pytest.mark.parametrize(("side", "edge"), [(12, 1), (60, 0)])
def test_the_soft_edge_of_a_small_digit_is_kept(side: int, edge: int) -> None:
    ink = np.zeros((100, 100), dtype=np.uint8)
    ink[19 : 21 + side, 19 : 21 + side] = 60
    ink[20 : 20 + side, 20 : 20 + side] = 200
    found = find_digit(ink)
    assert found is not None
    assert found.box == (20, 20, side, side)
    assert found.ink.shape == (side + 2 * edge, side + 2 * edge)
    assert found.ink.min() == (60 if edge else 200)


def test_four_new_pixels_are_lanczos_of_the_old_ones() -> None:
    at = np.subtract.outer(np.array([-3, -1, 1, 3]) / 8, np.arange(-3, 4))
    kernel = np.where(np.abs(at) < 3, np.sinc(at) * np.sinc(at / 3), 0)
    stroke = np.zeros((9, 9), dtype=np.uint8)
    stroke[:, 4] = 200
    expected = 200 * (kernel / kernel.sum(axis=1, keepdims=True))[:, ::-1].T.ravel()
    np.testing.assert_allclose(quadruple(stroke)[18, 4:32], expected.clip(0), atol=1)


@pytest.mark.parametrize("drawn", ["photograph", "thin"])
@pytest.mark.all
def test_photographed_and_thinly_drawn_digits_are_answered_like_the_originals(
    drawn: str, digits: Digits, classifier: Classifier
) -> None:
    rng = np.random.default_rng(3)
    chosen = digits.sample(100, rng)
    pictures = [
        photograph_digit(image, rng) if drawn == "photograph" else draw_thin(image, rng) for image in chosen.images
    ]
    answers = classifier.predict(np.stack([normalized(picture) for picture in pictures]))
    originals = classifier.predict(chosen.images)
    right = (answers == chosen.labels).mean()
    assert right >= (originals == chosen.labels).mean() - 0.03


@pytest.mark.parametrize("width", [2, 4, 8])
def test_lines_of_any_width_get_the_strokes_of_a_pen(width: int) -> None:
    picture = Image.new("L", (400, 400), 255)
    ImageDraw.Draw(picture).line((120, 60, 280, 60, 180, 340), fill=0, width=width)
    result = normalize_digit(picture).image
    rows = (result[10:20] > 127).sum(axis=1)
    assert MIN_STROKE - 1 <= np.median(rows) <= MIN_STROKE + 1.5
    assert result.max() == 255


PAPER = np.pad(255 - digit(280), 60, constant_values=255)
"""A seven, black on white, uint8 [400, 400]."""


def changed(what: str) -> Grey:
    pixels = PAPER.copy()
    if what == "shadow":
        across = np.add.outer(np.arange(400), np.arange(400)) < 370
        return np.where(across, 0.45 * pixels, pixels).astype(np.uint8)
    if what == "specks and the edge of the table":
        pixels[:, :25] = 60
        for y, x in ((40, 350), (350, 80), (200, 360)):
            pixels[y : y + 6, x : x + 6] = 0
    if what == "rulings":
        pixels[20::40] = np.minimum(pixels[20::40], 190)
    return pixels


@pytest.mark.parametrize("what", ["shadow", "specks and the edge of the table", "rulings"])
def test_what_is_no_ink_leaves_no_trace(what: str) -> None:
    result = normalize_digit(Image.fromarray(changed(what)))
    assert likeness(result.image, normalized(PAPER)) > 0.97
    x, _, width, _ = result.box
    assert 100 < x < x + width < 280


@pytest.mark.parametrize(("paper", "ink"), [(255, 200), (90, 30), (128, 40), (20, 60), (0, 255), (60, 200)])
def test_ink_of_any_strength_on_any_ground_is_the_same_digit(paper: int, ink: int) -> None:
    result = normalize_digit(Image.fromarray(np.where(PAPER < 128, ink, paper).astype(np.uint8)))
    assert result.inverted == (ink < paper)
    assert likeness(result.image, normalized(PAPER)) > 0.99


def test_a_stroke_that_broke_off_still_belongs_to_its_digit() -> None:
    whole = Image.new("L", (300, 300), 255)
    draw = ImageDraw.Draw(whole)
    draw.line((110, 60, 100, 140, 170, 130, 190, 190, 150, 250, 90, 240), fill=0, width=14, joint="curve")
    broken = whole.copy()
    for picture, start in ((whole, 105), (broken, 130)):
        ImageDraw.Draw(picture).line((start, 60, 210, 55), fill=0, width=14)
    assert likeness(normalize_digit(broken).image, normalize_digit(whole).image) > 0.9


@pytest.mark.parametrize(("gap", "pieces"), [(0.2, 2), (0.3, 2), (0.4, 1)])
def test_the_dot_of_an_i_stays_with_its_stem(gap: float, pieces: int) -> None:
    picture = Image.new("L", (300, 300), 255)
    draw = ImageDraw.Draw(picture)
    draw.line((150, 120, 150, 260), fill=0, width=24)
    bottom = round(120 - gap * 140)
    draw.rectangle((138, bottom - 24, 162, bottom), fill=0)
    result = normalize_digit(picture)
    assert not result.several
    assert (np.diff(result.image.any(axis=1).astype(int)) == 1).sum() == pieces


@pytest.mark.parametrize("size", [(20, 28), (100, 300), (900, 40), (3000, 2000)])
def test_the_aspect_of_a_digit_is_kept_whatever_the_shape_of_its_picture(size: tuple[int, int]) -> None:
    width, height = size
    side = min(size) // 3
    pixels = np.full((height, width), 230, dtype=np.uint8)
    pixels[height // 2 - side : height // 2 + side, width // 2 - side // 2 : width // 2 + side // 2] = 20
    result = normalized(pixels)
    rows, columns = ((result > 127).any(axis=axis).sum() for axis in (1, 0))
    # So bold a block is thinned, by the same on each side.
    assert abs(int(rows) - 2 * int(columns)) <= 4


@pytest.mark.parametrize("shape", [(1, 10_000), (10_000, 1), (2, 2), (5, 3)])
def test_the_oddest_shapes_with_something_on_them_give_an_image_or_nothing(shape: tuple[int, int]) -> None:
    pixels = np.full(shape, 255, dtype=np.uint8)
    pixels[shape[0] // 2, shape[1] // 2] = 0
    with contextlib.suppress(ImageError):
        assert normalized(pixels).shape == (28, 28)


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (1, 10_000), (10_000, 1), (4000, 3000)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_picture_is_refused(size: tuple[int, int], level: int) -> None:
    with pytest.raises(ImageError, match="nothing on it but its background") as caught:
        normalize_digit(Image.new("L", size, level))
    assert caught.value.hint


def test_what_is_too_faint_and_the_grain_of_paper_are_nothing() -> None:
    grain = np.clip(np.random.default_rng(0).normal(190, 4, (600, 400)), 0, 255).astype(np.uint8)
    faint = [np.zeros((side, side), dtype=np.uint8) for side in (28, 29)]
    for pixels in faint:
        pixels[10:18, 12:16] = 30
    for pixels in (*faint, grain):
        with pytest.raises(ImageError, match="nothing on it but its background"):
            normalized(pixels)
