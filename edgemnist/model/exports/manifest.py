"""`manifest.json`: the record of one export directory, and the only way in.

The manifest says which files belong together: the Keras model, the golden pack and every artifact, each with size and
SHA-256. No file of an export directory is read if its hash does not match its record.
"""

import builtins
import contextlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from edgemnist.errors import ArtifactError, ManifestError, UnknownNameError, upgrade_line
from edgemnist.ground.inputs import RANGE_PATTERN, InputSpec
from edgemnist.ground.results import SCHEMA_VERSION, UNREADABLE
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.storage import recover, sha256, sha256_of
from edgemnist.model.task import Task, default_task, unnamed_task

MANIFEST_FILE = "manifest.json"
DEFAULT_EXPORTS = Path("exports")
MODEL_FILE = "model.keras"
GOLDEN_FILE = "golden.npz"
PREVIOUS_MODEL_FILE = "previous.keras"
"""The Keras model that the last training or export replaced."""
RECORD_FILES = frozenset(
    {
        *(MANIFEST_FILE, GOLDEN_FILE, "answers.npz"),
        *("verify.json", "bench.json", "training.json"),
        *("data-source.json", "learn.json"),
    }
)
"""Files beside models that commands, and nobody else, write into an export directory."""

PlainName = Annotated[str, msgspec.Meta(pattern=r"^[^/\\:]+$")]
"""A name within the directory: a record must not reach beyond it."""

InputRange = Annotated[str, msgspec.Meta(pattern=RANGE_PATTERN)]
"""What a black pixel and a white one are to a model, see `range_ends`."""

T = TypeVar("T")


class NewerManifestError(ManifestError):
    """A manifest, or a finding, that a newer edgemnist wrote."""


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output tensor of an artifact."""

    name: str
    dtype: str
    """NumPy's name, such as `int8` or `float32`."""
    shape: list[int | str]
    """-1 or a name for a dimension that is free, such as the batch."""
    scale: float | None = None
    zero_point: int | None = None
    """real = scale * (quantized - zero_point); None for a tensor that is not quantized."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Which images the activation ranges of an int8 artifact were taken from."""

    images: int
    indices_sha256: str
    """Hash of the int64 indices into the training split."""
    data_sha256: str
    """Identity of the data set, see `DataIdentity.sha256`."""
    method: str = "minmax"


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the export directory."""

    file: PlainName
    """Name within the directory."""
    bytes: int
    sha256: str

    @classmethod
    def of(cls, file: str, data: builtins.bytes, **more: Any) -> Self:  # noqa: ANN401 - passed on
        """Return the record of a file with these contents; `more` is what its kind of record has besides."""
        return cls(file=file, bytes=len(data), sha256=sha256(data), **more)


class ModelRecord(FileRecord, frozen=True, kw_only=True):
    """The model that everything else was made from."""

    parameters: int
    input_range: InputRange | None = None
    """Its input values of a black and a white pixel, such as `0..255`; None for 0..1, and in an earlier record."""
    takes: InputSpec | UnsetType = UNSET
    """What it reads, where it is not the default input in a range with a name."""

    def spec(self, task: Task) -> InputSpec | None:
        """Return what it reads, in a directory of this task; None where only the file says in which range."""
        return _spec_of(self, task)


class GoldenRecord(FileRecord, frozen=True, kw_only=True):
    """The golden pack: evaluation images, labels and the Keras model's probabilities."""

    images: int
    model_sha256: str
    seen: int | None = None
    """How many of them the model was trained on; None if that is unknown, and in an earlier record."""


class LearntRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which samples a model has learnt from with `edgemnist learn`, so that they do not judge it.

    As a part of the manifest it goes into a bundle, and to a board. `exports.questions.has_learnt` reads it.
    """

    model_sha256: str
    """Hash of the Keras model that has learnt, as in `Artifact.model_sha256`."""
    samples: list[str]
    """The first 64 bits of the BLAKE2b of each sample's pixels, in hexadecimal, in order; what the model before it had
    learnt from included."""
    first_right: int | None = None
    """Images of the golden pack that the model before the first lesson got right: losses add up from there. None in a
    record of an earlier edgemnist."""
    golden: str = ""
    """Hash of the data set of that golden pack."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """What a C artifact takes of a microcontroller's memory."""

    flash_bytes: int
    """Weights and tables, and the most that the engine takes on a Cortex-M0+ to M55, compiled with `-O2`."""
    ram_bytes: int
    """Static memory, and the deepest stack of a call, if that is known."""
    stack_bytes: int | None = None
    """Part of `ram_bytes`; None in an earlier record, which leaves the stack out."""


class Artifact(FileRecord, frozen=True, kw_only=True):
    """One converted model."""

    name: str
    """`<format>-<quantization>`."""
    format: str
    quantization: str
    input: TensorSpec
    output: TensorSpec
    calibration: Calibration | None = None
    input_range: InputRange | None = None
    takes: InputSpec | UnsetType = UNSET
    """Both as in `ModelRecord`."""
    logits: bool = False
    """Whether the last softmax was left out of a full-int8 file, with `--logits`."""
    rounding: str | UnsetType = UNSET
    """The rule by which a C file or a page rounds; not in a record of other files, nor in an earlier one."""
    footprint: Footprint | None = None
    """Footprint of a C artifact; None for others, and in an earlier record."""
    model_sha256: str
    """Hash of the Keras model that it was converted from."""
    versions: dict[str, str]
    """Versions of everything that made it."""

    def spec(self, task: Task) -> InputSpec | None:
        """Return what it reads; see `ModelRecord.spec`."""
        return _spec_of(self, task)


def _spec_of(record: ModelRecord | Artifact, task: Task) -> InputSpec | None:
    if isinstance(record.takes, InputSpec):
        return record.takes
    if record.input_range is not None:
        return InputSpec.of_range(task.input.shape, record.input_range)
    return None if task.input == default_task().input else task.input


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one export directory."""

    schema_version: int = SCHEMA_VERSION
    labels: list[str]
    """Name of each class, in the order of the model's outputs; none where it answers with numbers."""
    task: Task | UnsetType = UNSET
    """What the model is for; not written for the default input and classes of any kind, as in earlier records."""
    data: DataIdentity | None = None
    model: ModelRecord | None = None
    golden: GoldenRecord | None = None
    training_images: FileRecord | None = None
    """Hashes of the images that the model was trained on, on which it must not be evaluated."""
    learnt: LearntRecord | None = None
    """The samples that a model of this directory has learnt from; None where none has, and in an earlier record."""
    answers: FileRecord | None = None
    """What each artifact answered for the golden pack on the machine that exported it."""
    artifacts: list[Artifact] = msgspec.field(default_factory=list)

    @property
    def resolved_task(self) -> Task:
        """What the model is for, as far as the record says it; see `task_of`."""
        return self.task if isinstance(self.task, Task) else unnamed_task()

    def artifact(self, name: str) -> Artifact:
        """Return the record of an artifact; an unknown name raises UnknownNameError."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        raise UnknownNameError("artifact", name, [artifact.name for artifact in self.artifacts])

    def with_artifacts(self, new: list[Artifact]) -> "Manifest":
        """Return a manifest in which `new` replace artifacts of the same names, and the rest come last."""
        by_name = {artifact.name: artifact for artifact in [*self.artifacts, *new]}
        return msgspec.structs.replace(self, artifacts=list(by_name.values()))

    def encode(self) -> bytes:
        """Return the file's contents: indented JSON in a stable order."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read_manifest(directory: Path) -> Manifest:
    """Read the record of an export directory, after completing a commit that was cut short.

    Raises ManifestError if it is missing or broken, NewerManifestError if its schema version is newer, and
    StorageError if that commit cannot be completed.
    """
    path = directory / MANIFEST_FILE
    recover(directory)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        is_file = directory.exists() and not directory.is_dir()
        make = "Name a directory" if is_file else f"Make one with: {command('all', directory)}"
        raise ManifestError(
            _nothing_there(directory), hint=f"{make}. The package comes with one: --exports reference"
        ) from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    again = f"Write it again with: {command('export', directory)}"
    return decode_versioned(Manifest, path, data, problem="not a manifest", hint=again)


def command(words: str, directory: Path) -> str:
    """Return a command line for an export directory: `verify` gives `edgemnist verify --exports DIR`, none nothing."""
    named = "" if directory == DEFAULT_EXPORTS else f" --exports {shlex.quote(str(directory))}"
    return f"edgemnist {words}{named}" if words else ""


def _nothing_there(directory: Path) -> str:
    if not directory.exists():
        return f"The export directory {directory} does not exist"
    if not directory.is_dir():
        return f"{directory} is a file, not an export directory"
    if not any(directory.iterdir()):
        return f"The export directory {directory} is empty"
    return f"{directory} has no {MANIFEST_FILE}, so it is not an export directory"


class _Versioned(msgspec.Struct):
    schema_version: int


def decode_versioned(kind: type[T], path: Path, data: bytes, *, problem: str, hint: str) -> T:
    """Decode the contents of `path`.

    Raises NewerManifestError if its schema version is newer, and ManifestError, which says that the file is
    `problem`, with `hint`, if it is damaged.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).schema_version
        if version <= SCHEMA_VERSION:
            return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise ManifestError(f"{path} is {problem}: {error}", hint=hint) from error
    raise NewerManifestError(
        f"{path} has schema version {version}, and this edgemnist reads up to {SCHEMA_VERSION}",
        hint=f"Install a newer edgemnist with: {upgrade_line()}",
    )


def file_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None if it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return sha256_of(file)
    return None


def kept_model(directory: Path, new: bytes, manifest: Manifest | None = None) -> dict[str, bytes]:
    """Return the file, by name, that keeps the model of a directory when `new` replaces it; none if equal.

    The manifest says which file that is.

    Raises ManifestError if the model that is there cannot be read.
    """
    path = directory / (MODEL_FILE if manifest is None or manifest.model is None else manifest.model.file)
    try:
        old = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    return {} if old == new else {PREVIOUS_MODEL_FILE: old}


def way_back(directory: Path, input_range: str) -> str:
    """Return the command that makes the kept model the model of a directory again; the two change places.

    `input_range` is the kept model's, see `range_ends`.
    """
    kept, taken = shlex.quote(str(directory / PREVIOUS_MODEL_FILE)), shlex.quote(input_range)
    return command(f"export --model {kept} --input-range {taken}", directory)


def read_recorded(directory: Path, record: FileRecord) -> bytes:
    """Return the contents of a recorded file. Raises what `open_recorded` raises."""
    with open_recorded(directory, record) as file:
        return file.read()


def check_recorded(directory: Path, record: FileRecord) -> None:
    """Make sure that a recorded file is as recorded. Raises what `open_recorded` raises."""
    with open_recorded(directory, record):
        pass


@contextmanager
def open_recorded(directory: Path, record: FileRecord) -> Iterator[BinaryIO]:
    """Open a recorded file to read from its beginning, its hash checked.

    Raises ArtifactError if the file is missing, or its size or hash is not the recorded one.
    """
    path = directory / record.file
    again = f"Write it again with: {command('export', directory)}"
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing, although the manifest lists it", hint=again) from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        try:
            found, size = sha256_of(file), file.tell()
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
        if size != record.bytes:
            raise ArtifactError(
                f"{path} has {size:,} bytes where the manifest says {record.bytes:,}: it is damaged", hint=again
            )
        if found != record.sha256:
            raise ArtifactError(
                f"{path} is not the file that the manifest describes: its SHA-256 differs from the record", hint=again
            )
        file.seek(0)
        yield file
