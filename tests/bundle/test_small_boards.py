"""A bundle for a board has the native engine for its processor, and 32-bit boards are led to what runs there."""

import base64
import dataclasses
import hashlib
import io
import platform
import re
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import edgemnist.model.native
from edgemnist.board.agent.bundle import Archive
from edgemnist.board.agent.facts import program_machine
from edgemnist.board.agent.install import needs
from edgemnist.errors import DeployError, MissingDependencyError
from edgemnist.fleet.bundle import pack as bundle_package
from edgemnist.fleet.bundle.pack import BundleConfig, WheelsConfig, board_engines, make_bundle, pinned, read_metadata
from edgemnist.fleet.deploy.run import LocalBundle, open_bundle, require_fit
from edgemnist.fleet.doctor.checks import check_board
from edgemnist.ground.results.boards import Level
from edgemnist.model.exports import Exports
from edgemnist.model.native import SOURCES, library_name
from edgemnist.model.runtimes import RUNTIMES
from tests.doctor.test_doctor import PI5
from tests.notices import Notices

MACHINES = {"aarch64": (64, 183), "armv7l": (32, 40), "armv6l": (32, 40)}
"""Bits, and the number of the architecture in an ELF file: AArch64 and ARM."""
ZERO = dataclasses.replace(
    PI5, board="Raspberry Pi Zero W Rev 1.1", kernel_machine="armv6l", bits=32, cpu="ARM1176", cores=1, flags=[]
)

needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason='pip install "edgemnist[native]"')
needs_native = pytest.mark.skipif(bool(RUNTIMES["native"].missing()), reason=RUNTIMES["native"].install_line())


def bundle(exports: Path, output: Path, *names: str) -> LocalBundle:
    make_bundle(Exports.open(exports), output, BundleConfig(artifacts=names))
    return open_bundle(output)


def package(bundle: LocalBundle) -> dict[str, bytes]:
    with Archive(bundle.path) as archive:
        wheel = archive.read(bundle.record.package)
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        return {name: files.read(name) for name in files.namelist()}


@needs_zig
@needs_native
def test_a_bundle_has_the_engine_for_every_raspberry_pi(made_exports: Path, tmp_path: Path) -> None:
    made = bundle(made_exports, tmp_path / "native.zip", "tflite-int8@native")
    assert made.record.extras == [], "NumPy is all that it needs"
    files = package(made)
    libraries = {name: data for name, data in files.items() if name.endswith(".so")}
    assert set(libraries) == {f"edgemnist/model/native/engine-{machine}.so" for machine in MACHINES}
    for machine, (bits, architecture) in MACHINES.items():
        data = libraries[f"edgemnist/model/native/engine-{machine}.so"]
        assert data[:5] == b"\x7fELF" + bytes([bits // 32]), machine
        assert int.from_bytes(data[18:20], "little") == architecture, machine
    assert bundle(made_exports, tmp_path / "again.zip", "tflite-int8@native").sha256 == made.sha256
    # Bundles of all artifacts share an environment on the board.
    other = bundle(made_exports, tmp_path / "b.zip", "onnx-int8")
    assert needs(made.record)["package"] == needs(other.record)["package"]


@needs_native
def test_without_the_compiler_only_a_bundle_that_needs_the_engine_says_what_is_missing(
    made_exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgemnist.fleet.bundle.pack.can_build", lambda: False)
    notices = Notices()
    make_bundle(Exports.open(made_exports), tmp_path / "b.zip", BundleConfig(artifacts=("tflite-int8",)), notices)
    assert "compiler" not in " ".join(notices.messages)
    with pytest.raises(MissingDependencyError, match="ziglang") as caught:
        bundle(made_exports, tmp_path / "c.zip", "tflite-int8@native")
    assert 'pip install "edgemnist[native]"' in caught.value.hint


@pytest.mark.parametrize(
    ("machine", "bits", "file"),
    [
        ("aarch64", 64, "engine-aarch64.so"),
        ("aarch64", 32, "engine-armv7l.so"),
        ("armv8l", 32, "engine-armv7l.so"),
        ("armv7l", 32, "engine-armv7l.so"),
        ("armv6l", 32, "engine-armv6l.so"),
        ("riscv64", 64, None),
    ],
)
def test_a_board_finds_the_engine_for_its_processor(
    machine: str, bits: int, file: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edgemnist.model.native, "SOURCES", tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr("edgemnist.board.agent.facts.POINTER_BITS", bits)
    for one in MACHINES:
        (tmp_path / f"engine-{one}.so").touch()
    assert edgemnist.model.native.find_library().name == (file or library_name())
    assert (edgemnist.model.native.library_version() is not None) == (file is not None)
    # What was compiled on the board itself comes first.
    (tmp_path / library_name()).touch()
    assert edgemnist.model.native.find_library().name == library_name()


@needs_zig
def test_an_engine_that_is_there_is_taken_and_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With a wing's folder above it, as installed: pytest links to its own folders beside them.
    sources = shutil.copytree(SOURCES, tmp_path / "model" / "native")
    (sources / "engine-armv6l.so").write_bytes(b"from a bundle")
    monkeypatch.setattr(edgemnist.model.native, "SOURCES", sources)
    place = SOURCES.relative_to(Path(edgemnist.__file__).parent)
    assert board_engines("x86_64")[f"{place}/engine-armv6l.so"] == b"from a bundle"
    assert set(board_engines("x86_64")) == {f"{place}/engine-{one}.so" for one in (*MACHINES, "x86_64")}


def test_a_32_bit_board_is_fit_and_led_to_what_runs_there() -> None:
    findings = check_board(ZERO, [])
    system = next(finding for finding in findings if finding.name == "system")
    assert system.level is Level.WARNING
    assert "no wheels for 32-bit" in system.meaning
    assert "edgemnist bundle tflite-int8@native" in system.fix
    assert "edgemnist export --format c --target pi-zero" in system.fix
    assert all(finding.level is not Level.FAILURE for finding in findings)
    pi2 = dataclasses.replace(ZERO, kernel_machine="armv7l")
    assert "--target linux-armv7" in next(one for one in check_board(pi2, []) if one.name == "system").fix
    # A 64-bit kernel under a 32-bit system may hide the flags of 64-bit programs.
    half = dataclasses.replace(PI5, bits=32, flags=["neon"])
    assert all(finding.level is not Level.FAILURE for finding in check_board(half, []))


def test_what_has_no_wheels_is_refused_before_it_is_sent(made_exports: Path, tmp_path: Path) -> None:
    record = bundle(made_exports, tmp_path / "b.zip", "tflite-int8@litert").record
    require_fit("pi", PI5, check_board(PI5, []), record, 0)
    with pytest.raises(DeployError, match="no wheels for 32-bit systems such as zero's") as caught:
        require_fit("zero", ZERO, check_board(ZERO, []), record, 0)
    assert "edgemnist bundle tflite-int8@native" in caught.value.hint
    # NumPy is all that these need.
    light = dataclasses.replace(record, extras=[])
    require_fit("zero", ZERO, check_board(ZERO, []), light, 0)
    require_fit("zero", ZERO, check_board(ZERO, []), dataclasses.replace(light, machine="armv6l", pythons=["3.11"]), 0)


def test_a_32_bit_system_on_a_64_bit_kernel_takes_32_bit_wheels() -> None:
    assert program_machine("aarch64", 32) == "armv7l"
    assert program_machine("aarch64", 64) == "aarch64"
    assert program_machine("armv6l", 32) == "armv6l"
    assert program_machine("x86_64", 64) == "x86_64"


def fake_wheel(directory: Path, name: str, version: str, tag: str) -> None:
    """Write an empty wheel where a simple index has it."""
    stem = re.sub(r"[-.]+", "_", name)
    files = {
        f"{stem}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}-{version}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        for path, text in files.items()
    ]
    (directory / name).mkdir(parents=True)
    file = f"{stem}-{version}-{tag}.whl"
    with zipfile.ZipFile(directory / name / file, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{stem}-{version}.dist-info/RECORD", "\n".join(rows))
    (directory / name / "index.html").write_text(f'<a href="{file}">{file}</a>')


@needs_zig
@needs_native
@pytest.mark.parametrize("machine", ["armv7l", "armv6l"])
def test_wheels_for_a_32_bit_board_come_from_piwheels_too(
    machine: str, made_exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two indexes stand in: one with pure wheels, as PyPI has them, and one with those of piwheels' tags."""
    compiled = {"numpy", "msgspec", "pillow"}
    for pin in pinned(read_metadata(), []):
        name, version = pin.split("==")
        if name in compiled:
            fake_wheel(tmp_path / "piwheels", name, version, f"cp313-cp313-linux_{machine}")
        else:
            fake_wheel(tmp_path / "pypi", name, version, "py3-none-any")
    monkeypatch.setattr(bundle_package, "PIWHEELS", (tmp_path / "piwheels").as_uri())
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "pypi").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    config = BundleConfig(artifacts=("tflite-int8@native",), wheels=WheelsConfig(machine=machine, pythons=("3.13",)))
    make_bundle(Exports.open(made_exports), tmp_path / "b.zip", config)
    made = open_bundle(tmp_path / "b.zip")
    names = [file.path for file in made.record.files if file.path.endswith(f"cp313-linux_{machine}.whl")]
    assert len(names) == len(compiled)
    assert made.record.machine == machine
    assert f"edgemnist/model/native/engine-{machine}.so" in package(made)
