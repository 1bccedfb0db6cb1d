"""`answers.npz`: what each artifact answered for the golden pack on the machine that exported it.

With it a board can tell its own rounding, which moves a value by one step, from a label that came out differently, for
the same artifact; the golden pack alone tells only how far the artifact is from the Keras model.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.exports.manifest import Artifact, FileRecord, Manifest, open_recorded, read_recorded, sha256
from edgemnist.runtimes.interface import Classifier

ANSWERS_FILE = "answers.npz"

AnswersBySha256 = Mapping[str, Probabilities]
"""float32 [N, C], one image a call, by the hash of the artifact file: they count for this very file only."""


def encode_answers(answers: AnswersBySha256) -> bytes:
    """Return the contents of the file: the same answers give the same bytes."""
    stream = io.BytesIO()
    # Not compressed: what deflate makes of it depends on the version of zlib.
    np.savez(stream, **{name: answers[name] for name in sorted(answers)})  # type: ignore[arg-type]  # NumPy's stub takes the names for its own options
    return stream.getvalue()


def decode_answers(data: bytes) -> AnswersBySha256:
    """Read the contents of the file. Raises ArtifactError where they are none."""
    with _damage_told(), np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def read_answers(directory: Path, manifest: Manifest) -> AnswersBySha256:
    """Return the recorded answers of an export directory, hash checked; none where it has none.

    Raises ArtifactError where they are not the recorded ones.
    """
    return {} if manifest.answers is None else decode_answers(read_recorded(directory, manifest.answers))


def read_answers_of(artifact: Artifact, directory: Path, manifest: Manifest) -> Probabilities | None:
    """Return the recorded answers of one artifact, float32 [N, C], hash checked; None if there are none.

    The others' are not read into memory. Raises ArtifactError where the file is not the recorded one.
    """
    if manifest.answers is None:
        return None
    with open_recorded(directory, manifest.answers) as file, _damage_told(), np.load(file, allow_pickle=False) as found:
        answers: Probabilities | None = found.get(artifact.sha256)
        return answers


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"{ANSWERS_FILE} is damaged: {error}", hint="Write it again with: edgemnist export"
        ) from error


def answers_record(data: bytes) -> FileRecord:
    """Return the record of the encoded answers."""
    return FileRecord(file=ANSWERS_FILE, bytes=len(data), sha256=sha256(data))


def only(answers: AnswersBySha256, artifacts: Iterable[Artifact]) -> AnswersBySha256:
    """Return the answers of some artifacts."""
    wanted = {artifact.sha256 for artifact in artifacts}
    return {name: probabilities for name, probabilities in answers.items() if name in wanted}


def answer_all(directory: Path, artifacts: Iterable[Artifact], images: Images) -> AnswersBySha256:
    """Return what artifacts of a directory answer here to images, uint8 [N, 28, 28], one at a time."""
    from edgemnist.runtimes import load

    return {
        artifact.sha256: ask_one_at_a_time(load(directory / artifact.file, input_range=artifact.input_range), images)
        for artifact in artifacts
    }


def ask_one_at_a_time(classifier: Classifier, images: Images) -> Probabilities:
    """Return what `classifier` answers to images, uint8 [N, 28, 28], one a call: float32 [N, C]."""
    answers = np.empty((len(images), len(classifier.classes_)), dtype=np.float32)
    for index in range(len(images)):
        answers[index] = classifier.predict_proba(images[index : index + 1])[0]
    return answers


def answers_of_export(
    exports: Path, before: Manifest | None, after: Manifest, made: Mapping[str, bytes], images: Images
) -> bytes:
    """Return the contents of `answers.npz` for an export that has not been written yet.

    `made` holds the new artifacts, contents by file name; they answer here, for the golden pack's images, uint8
    [N, 28, 28]. Artifacts of `before` keep their answers as long as the golden pack is the same.
    """
    kept: AnswersBySha256 = {}
    if before is not None and before.golden == after.golden:
        # Answers that were damaged are no reason not to export: they are made without.
        with contextlib.suppress(ArtifactError):
            kept = read_answers(exports, before)
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        for name, data in made.items():
            (Path(directory) / name).write_bytes(data)
        new = answer_all(Path(directory), [one for one in after.artifacts if one.file in made], images)
    return encode_answers(only({**kept, **new}, after.artifacts))
