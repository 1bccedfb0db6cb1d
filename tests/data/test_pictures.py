"""Pictures of any size, colour mode and orientation become what a model takes, and what is lost on the way is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import DataError, ImageError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model import prepare
from edgemnist.model.prepare import FROM_CMYK, OF_16_BITS, ON_WHITE, TO_GREY
from edgemnist.model.task import Fitted, task_named
from edgemnist.pipeline.data import dataset as limits
from edgemnist.pipeline.data import folders as reader
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.folders import Folders, Headers, find_folders, read_folders
from tests.notices import Listener

RED, GREEN, GREY, CLEAR = (200, 30, 30), (20, 160, 20), (90, 90, 90), (0, 0, 0, 0)


def plain(mode: str, colour: float | tuple[float, ...] | None = None, size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new(mode, size, colour)


def with_transparent_black(mode: str) -> Image.Image:
    picture = Image.new(mode, (8, 6), 0)
    picture.info["transparency"] = 0
    return picture


MODES = {
    "1": (plain("1", 1), (255,) * 3, ()),
    "L": (plain("L", 90), GREY, ()),
    "LA": (plain("LA", (90, 255)), GREY, ()),
    "LA, half": (plain("LA", (0, 128)), (127,) * 3, (ON_WHITE,)),
    "RGB": (plain("RGB", RED), RED, ()),
    "RGB, keyed": (with_transparent_black("RGB").copy(), (0, 0, 0), ()),
    "RGBA": (plain("RGBA", (*RED, 255)), RED, ()),
    "RGBA, clear": (plain("RGBA", CLEAR), (255,) * 3, (ON_WHITE,)),
    "P": (plain("RGB", RED).quantize(2), RED, ()),
    "P, clear": (with_transparent_black("P"), (255,) * 3, (ON_WHITE,)),
    "I;16": (Image.fromarray(np.full((6, 8), 90 * 257, np.uint16)), GREY, (OF_16_BITS,)),
    "CMYK": (plain("CMYK", (0, 255, 255, 0)), (255, 0, 0), (FROM_CMYK,)),
}
MODES["RGB, keyed"][0].info["transparency"] = (1, 2, 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", [prepare.resize, prepare.crop, prepare.letterbox, prepare.as_it_is])
def test_a_picture_of_any_mode_keeps_its_colour_and_what_is_lost_is_told(mode: str, way: Callable[..., Fitted]) -> None:
    picture, colour, told = MODES[mode]
    before = picture.tobytes()
    colours = way(picture, InputSpec(shape=(6, 8, 3)))
    assert colours.image.shape == (6, 8, 3)
    assert np.abs(colours.image.astype(int) - colour).max() <= 1
    assert (colours.told, colours.box) == (told, (0, 0, 8, 6))
    levels = way(picture, InputSpec(shape=(6, 8)))
    assert levels.image.shape == (6, 8)
    assert levels.told == ((*told, TO_GREY) if max(colour) > min(colour) else told)
    assert picture.tobytes() == before


def test_opacity_is_kept_where_the_model_takes_it() -> None:
    shown = prepare.as_it_is(plain("RGBA", (*RED, 7)), InputSpec(shape=(6, 8, 4)))
    assert (shown.image == (*RED, 7)).all()
    assert shown.told == ()
    assert (prepare.as_it_is(plain("L", 90), InputSpec(shape=(6, 8, 4))).image == (90, 90, 90, 255)).all()


@pytest.mark.parametrize("size", [(1, 1), (4096, 3), (3, 4096), (33, 32), (12, 24)])
def test_each_way_of_preparing_shows_what_it_says_at_any_proportions(size: tuple[int, int]) -> None:
    picture, spec = plain("L", 255, size), InputSpec(shape=(16, 8))
    assert (prepare.resize(picture, spec).image == 255).all()
    cut = prepare.crop(picture, spec)
    assert (cut.image == 255).all()
    assert cut.box[0] >= 0 <= cut.box[1]
    assert cut.box[0] + cut.box[2] <= size[0]
    assert cut.box[1] + cut.box[3] <= size[1]
    assert cut.box[2] == size[0] or cut.box[3] == size[1]
    whole = prepare.letterbox(picture, spec)
    assert whole.box == (0, 0, *size)
    rows, columns = whole.image.any(axis=1), whole.image.any(axis=0)
    assert rows.all() or columns.all()
    scale = max(size[0] / 8, size[1] / 16)
    assert (columns.sum(), rows.sum()) == tuple(max(1, round(side / scale)) for side in size)
    with pytest.raises(ImageError, match=rf"has {size[0]}×{size[1]} pixels, and the model reads 8×16"):
        prepare.as_it_is(picture, spec)


def test_the_middle_is_cut_to_the_pixel() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    np.testing.assert_array_equal(prepare.crop(Image.fromarray(pixels), InputSpec(shape=(6, 4))).image, pixels[:, 3:7])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_picture_that_does_not_say_what_white_is_is_refused(mode: str) -> None:
    with pytest.raises(ImageError, match="numbers of 32 bits") as caught:
        prepare.resize(plain(mode), InputSpec(shape=(6, 8, 3)))
    assert caught.value.hint


def write(root: Path, classes: dict[str, list[Image.Image]], suffix: str = ".png") -> Folders:
    for name, pictures in classes.items():
        (root / name).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(root / name / f"{number}{suffix}")
    folders = find_folders(root, Listener())
    assert folders is not None
    return folders


def read(folders: Folders, listener: Listener, **options: object) -> Dataset:
    return read_folders(folders, listener, **options)  # type: ignore[arg-type]


def test_pictures_of_one_size_keep_it_and_their_colours(tmp_path: Path) -> None:
    listener = Listener()
    both = {"red": [plain("RGB", RED)] * 5, "green": [plain("RGB", GREEN)] * 10}
    dataset = read(write(tmp_path, both), listener)
    assert dataset.train.images.shape == (12, 6, 8, 3)
    assert dataset.labels == ("green", "red")
    for split in (dataset.train, dataset.test):
        assert (split.images == np.array([GREEN, RED])[split.labels][:, None, None]).all()
    assert np.bincount(dataset.test.labels).tolist() == [2, 1]
    assert listener.messages[0] == (
        f"The pictures in {tmp_path} are taken for 8×6 images in colour: all have this size. If they are digits, add "
        "--prepare digit."
    )
    assert dataset.task == task_named("pictures", InputSpec(shape=(6, 8, 3)))


def test_grey_is_kept_as_levels_unless_one_picture_has_a_colour(tmp_path: Path) -> None:
    grey = [plain("RGB", GREY)] * 5
    listener = Listener()
    dataset = read(write(tmp_path / "grey", {"a": grey, "b": grey}, ".jpg"), listener)
    assert dataset.train.images.shape == (8, 6, 8)
    assert (dataset.train.images == 90).all()
    assert "are taken for 8×6 images: all" in listener.heard
    assert read(write(tmp_path / "said", {"a": grey, "b": grey}), listener, shape=(6, 8, 3)).train.images.ndim == 4
    one = plain("RGB", GREY)
    one.paste(RED, (0, 0, 1, 1))
    folders = write(tmp_path / "one", {"a": [*grey, one], "b": grey})
    assert read(folders, listener).train.images.shape[1:] == (6, 8, 3)
    read(folders, listener, shape=(6, 8))
    assert f"looks the same, in 1 of the 11 pictures in {tmp_path / 'one'}." in listener.heard


def test_mixed_modes_and_sizes_are_read_and_everything_that_is_lost_is_told(tmp_path: Path) -> None:
    saved = [picture for name, (picture, _, _) in MODES.items() if "CMYK" not in name]
    folders = write(tmp_path, {"a": saved, "b": [plain("RGB", RED, (40, 20)), plain("RGB", RED, (10, 10))] * 4})
    plain("CMYK", (0, 255, 255, 0)).save(tmp_path / "a" / "cmyk.jpg")
    folders = find_folders(tmp_path, listener := Listener()) or folders
    dataset = read(folders, listener)
    assert len(dataset.train) + len(dataset.test) == 20
    for told, number in ((ON_WHITE, 3), (OF_16_BITS, 1), (FROM_CMYK, 1)):
        assert f"{told} in {number} of the 20 pictures in {tmp_path}." in listener.messages
    assert "their 3 sizes differ" in listener.heard


@pytest.mark.parametrize(
    ("sizes", "expected", "why"),
    [
        ([(20, 32)] * 9 + [(8, 8)], (32, 20), "9 of 10 have this size"),
        ([(10, 10)] * 4 + [(20, 30)] * 5 + [(40, 50)] * 2, (30, 20), "their 3 sizes differ"),
        ([(200, 100)], (48, 96), "all have 200×100, made smaller"),
        ([(4000, 2)], (1, 96), "made smaller"),
    ],
)
def test_the_size_is_that_of_most_or_the_middle(
    sizes: list[tuple[int, int]], expected: tuple[int, int], why: str, tmp_path: Path
) -> None:
    for number, size in enumerate(sizes):
        plain("L", 9, size).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"none")
    size, reason = Headers.of(sorted(tmp_path.iterdir())).common_size()
    assert size == expected
    assert why in reason


def test_a_photograph_on_its_side_is_measured_and_read_upright(tmp_path: Path) -> None:
    lying = plain("RGB", GREY, (32, 16))
    lying.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(2):
            lying.save(tmp_path / name / f"{number}.jpg", exif=exif, quality=95)
    folders = find_folders(tmp_path, Listener())
    assert folders is not None
    images = read(folders, Listener()).train.images
    assert images.shape[1:] == (32, 16, 3)
    assert (np.ptp(images[:, :12], axis=-1) > 100).all()
    assert (np.ptp(images[:, 20:], axis=-1) < 30).all()
    with Image.open(folders.paths[0]) as tagged:
        np.testing.assert_array_equal(prepare.as_it_is(tagged, InputSpec(shape=(32, 16, 3))).image, images[0])


def test_folders_beyond_limits_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = write(tmp_path, {"a": [plain("L", 9)] * 2, "b": [plain("L", 9)] * 2})
    monkeypatch.setattr(reader, "MOST_BYTES", 4 * 6 * 8)
    assert len(read(folders, Listener()).train) == 2
    monkeypatch.setattr(reader, "MOST_BYTES", 4 * 6 * 8 - 1)
    with pytest.raises(DataError, match=r"would take 192 bytes at 6×8, and 191 is the limit"):
        read(folders, Listener())
    monkeypatch.setattr(reader, "MOST_CLASSES", 1)
    with pytest.raises(DataError, match="holds 2 classes, and 1 is the limit"):
        find_folders(tmp_path, Listener())
    assert limits.MOST_CLASSES == 1_000


def test_a_picture_that_cannot_be_prepared_is_named(tmp_path: Path) -> None:
    folders = write(tmp_path, {"a": [plain("L", 9)] * 3, "b": [plain("L", 9)] * 3})
    Image.fromarray(np.ones((6, 8), np.float32)).save(tmp_path / "a" / "0.png", format="TIFF")
    listener = Listener()
    with pytest.raises(DataError, match=r"1 of the 6 pictures in .* cannot be read"):
        read(folders, listener)
    assert f"{tmp_path / 'a' / '0.png'} cannot be used: The picture has numbers of 32 bits" in listener.heard
