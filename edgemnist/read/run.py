"""`edgemnist read`: a page from a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edgemnist.errors import ImageError, UsageError
from edgemnist.exports import Exports, model_for
from edgemnist.images.decode import decode_image, picture_file, picture_name
from edgemnist.progress import SILENT, Reporter
from edgemnist.read.boxes import draw_boxes
from edgemnist.read.config import ReadConfig
from edgemnist.read.kept import keeping
from edgemnist.read.page import FINDER, read_page
from edgemnist.read.sheets import write_csv
from edgemnist.results.pictures import ReadResult
from edgemnist.storage import write_file

if TYPE_CHECKING:
    from edgemnist.samples.collector import CollectConfig

KINDS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Formats of the drawing by suffix."""


def read_file(
    exports: Exports | None,
    page: Path,
    config: ReadConfig,
    *,
    artifact: str | None = None,
    threads: int = 1,
    boxes: Path | None = None,
    csv: Path | None = None,
    collect: CollectConfig | None = None,
    reporter: Reporter = SILENT,
) -> ReadResult:
    """Read the digits of a picture file, or of standard input for `-`.

    `boxes` is a PNG or JPEG, by its suffix, to draw them into, and `csv` a file for the tables. `artifact` is a name of
    the export directory or a model file; by default the fastest verified one is taken. With `collect`, digits that are
    worth a look are kept as samples.

    Raises UsageError where `boxes` is neither by its suffix, ImageError for a picture that cannot be read, or that
    shows no table if `csv` is given,
    ArtifactError and ManifestError where the artifact cannot be used, MissingDependencyError where OpenCV or the
    runtime is missing, and StorageError where `boxes` or `csv` cannot be written.
    """
    if boxes is not None and boxes.suffix.lower() not in KINDS:
        raise UsageError(
            f"--boxes {boxes} is not the name of a PNG or JPEG", hint="Use a name that ends in .png or .jpg."
        )
    FINDER.load()
    name = picture_name(page)
    with picture_file(page) as file:
        picture = decode_image(file, name)
        coloured = picture if boxes is None else decode_image(file, name, colours=True)
    model, labels = model_for(exports, artifact, reporter)
    classifier = model.load(threads=threads, labels=labels)
    try:
        with keeping(collect, None, model, classifier, exports, reporter=reporter) as keeper:
            take = None if keeper is None else partial(keeper.take, source=name)
            result = read_page(picture, classifier, config, on_digits=take)
    except ImageError as error:
        raise ImageError(f"{name} cannot be read: {error.message}", hint=error.hint) from error
    if not result.digits:
        reporter.notice(f"No digits were found on {name}.")
    if result.turned:
        reporter.notice(f"{name} was turned {result.turned}° clockwise to be read.")
    if not result.complete:
        reporter.notice(f"There is more ink on {name} than on any page of digits, so not all of it was tried.")
    if csv is not None:
        if not result.tables:
            raise ImageError(
                f"{name} shows no table, so {csv} was not written",
                hint="A table is found by its lines. Photograph all of them, sharp and from above.",
            )
        files = write_csv(csv, result.tables)
        if len(files) > 1:
            reporter.notice(f"{name} shows {len(files)} tables: {', '.join(str(file) for file in files)}")
    if boxes is not None:
        write_file(boxes, draw_boxes(coloured, result, KINDS[boxes.suffix.lower()]))
    return msgspec.structs.replace(result, source=name, artifact=model.name, runtime=model.runtime)
