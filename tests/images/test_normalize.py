"""Any picture of one digit comes to MNIST's conditions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edgemnist.errors import ImageError
from edgemnist.images import normalize_digit
from edgemnist.images.find import find_digit
from edgemnist.images.grey import Grey, quadruple
from edgemnist.images.mnist import MIN_STROKE, fit_digit
from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE
from edgemnist.read.likeness import verdicts_of
from edgemnist.runtimes.interface import Classifier
from edgemnist.train_likeness.synthetic.camera import photograph_digit
from edgemnist.train_likeness.synthetic.page import Digits
from edgemnist.train_likeness.synthetic.strokes import draw_thin
from tests.images.drawing import digit


def normalized(pixels: Grey) -> Grey:
    return normalize_digit(Image.fromarray(pixels)).image


def likeness(one: Grey, other: Grey) -> float:
    """Return the correlation of two images, 1 where they are the same."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def centre_of_mass(image: Grey) -> tuple[float, float]:
    y, x = np.mgrid[0:28, 0:28]
    return float((image * y).sum() / image.sum()), float((image * x).sum() / image.sum())


# ---------------------------------------------------------------------------------------- MNIST's own form


def test_white_on_black_of_the_right_size_passes_unchanged(digits: Digits) -> None:
    for image in digits.images[:300]:
        result = normalize_digit(Image.fromarray(image))
        assert not result.inverted
        np.testing.assert_array_equal(result.image, image)


def test_black_on_white_of_the_right_size_is_inverted_and_said(digits: Digits) -> None:
    for image in digits.images[:300]:
        result = normalize_digit(Image.fromarray(255 - image))
        assert result.inverted
        np.testing.assert_array_equal(result.image, image)


def test_mnists_own_digits_come_out_as_they_went_in(digits: Digits) -> None:
    # The procedure is MNIST's, so what was made by it is a fixed point, up to the grey of its edges.
    alike = [likeness(fit_digit(image), image) for image in digits.images[:200]]
    assert np.median(alike) > 0.95
    assert np.quantile(alike, 0.05) > 0.75


def test_the_longer_side_fills_the_box_of_twenty_and_the_mass_is_centred(digits: Digits) -> None:
    rng = np.random.default_rng(1)
    for image in digits.images[:20]:
        result = normalized(photograph_digit(image, rng))
        rows, columns = (np.flatnonzero(result.any(axis=axis)) for axis in (1, 0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        # MNIST's own images have it between 13.5 and 14.5.
        assert np.abs(np.array(centre_of_mass(result)) - 14).max() <= 0.51


# ---------------------------------------------------------------------------------------- tight crops


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


# ---------------------------------------------------------------------------------------- few pixels


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


# ---------------------------------------------------------------------------------------- what cameras and pens do


@pytest.mark.parametrize("drawn", ["photograph", "thin"])
@pytest.mark.slow
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


def test_a_shadow_across_the_picture_leaves_no_trace() -> None:
    pixels = (255 - digit(280)).astype(np.float64)
    clear = normalized(pixels.astype(np.uint8))
    light = np.where(np.add.outer(np.arange(280), np.arange(280)) < 250, 0.45, 1.0)
    assert likeness(normalized((pixels * light).astype(np.uint8)), clear) > 0.97


@pytest.mark.parametrize(("paper", "ink"), [(255, 200), (90, 30), (128, 40), (20, 60), (0, 255), (60, 200)])
def test_ink_of_any_strength_on_any_ground_is_the_same_digit(paper: int, ink: int) -> None:
    pixels = np.where(np.pad(digit(280), 40) > 0, ink, paper).astype(np.uint8)
    result = normalize_digit(Image.fromarray(pixels))
    assert result.inverted == (ink < paper)
    assert likeness(result.image, normalized(np.pad(digit(280), 40))) > 0.99


def test_specks_and_the_edge_of_the_table_are_left_out() -> None:
    pixels = np.pad(255 - digit(280), 60, constant_values=255)
    clean = normalized(pixels)
    pixels[:, :25] = 60
    for y, x in ((40, 350), (350, 80), (200, 360)):
        pixels[y : y + 6, x : x + 6] = 0
    result = normalize_digit(Image.fromarray(pixels))
    assert likeness(result.image, clean) > 0.98
    x, _, width, _ = result.box
    assert x > 100
    assert x + width < 280


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


def test_ruled_paper_fainter_than_the_ink_is_paper() -> None:
    pixels = np.pad(255 - digit(280), 60, constant_values=255)
    clean = normalized(pixels)
    ruled = pixels.copy()
    ruled[20::40] = np.minimum(ruled[20::40], 190)
    assert likeness(normalized(ruled), clean) > 0.98


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


# ---------------------------------------------------------------------------------------- nothing to read


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (50, 50), (1, 10_000), (10_000, 1), (4000, 3000)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_picture_is_refused(size: tuple[int, int], level: int) -> None:
    with pytest.raises(ImageError, match="nothing on it but its background") as caught:
        normalize_digit(Image.new("L", size, level))
    assert caught.value.hint


@pytest.mark.parametrize("side", [28, 29])
def test_what_is_too_faint_is_refused_whatever_its_size(side: int) -> None:
    pixels = np.zeros((side, side), dtype=np.uint8)
    pixels[10:18, 12:16] = 30
    with pytest.raises(ImageError, match="nothing on it but its background"):
        normalized(pixels)


def test_blank_paper_with_its_grain_is_empty_too() -> None:
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(190, 4, (600, 400)), 0, 255).astype(np.uint8)
    with pytest.raises(ImageError, match="nothing on it but its background"):
        normalized(pixels)


@pytest.mark.parametrize("shape", [(1, 10_000), (10_000, 1), (2, 2), (5, 3)])
def test_the_oddest_shapes_with_something_on_them_give_an_image(shape: tuple[int, int]) -> None:
    pixels = np.full(shape, 255, dtype=np.uint8)
    pixels[shape[0] // 2, shape[1] // 2] = 0
    pixels = pixels.repeat(1, axis=0)
    try:
        assert normalized(pixels).shape == (28, 28)
    except ImageError as error:
        assert "nothing on it" in error.message  # noqa: PT017 - either outcome is right, a crash is not
