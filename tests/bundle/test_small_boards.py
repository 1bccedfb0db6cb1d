"""A bundle has the sources of the native engine, which a board compiles, and 32-bit boards are led to what works."""

import base64
import dataclasses
import hashlib
import io
import re
import zipfile
from pathlib import Path

import pytest

import edgemnist
from edgemnist.board.agent.bundle import Archive
from edgemnist.board.agent.facts import program_machine
from edgemnist.board.agent.install import needs
from edgemnist.errors import DeployError
from edgemnist.fleet.bundle import pack as bundle_package
from edgemnist.fleet.bundle.pack import BundleConfig, WheelsConfig, make_bundle, pinned, read_metadata
from edgemnist.fleet.deploy.run import LocalBundle, open_bundle, require_fit
from edgemnist.fleet.doctor.checks import check_board
from edgemnist.ground.results.boards import Level
from edgemnist.model.exports import Exports
from edgemnist.model.native import engine_sources
from edgemnist.model.runtimes import RUNTIMES
from tests.doctor.test_doctor import PI5

ZERO = dataclasses.replace(
    PI5, board="Raspberry Pi Zero W Rev 1.1", kernel_machine="armv6l", bits=32, cpu="ARM1176", cores=1, flags=[]
)

needs_native = pytest.mark.skipif(bool(RUNTIMES["native"].missing()), reason=RUNTIMES["native"].install_line())


def bundle(exports: Path, output: Path, *names: str) -> LocalBundle:
    make_bundle(Exports.open(exports), output, BundleConfig(artifacts=names))
    return open_bundle(output)


def package(bundle: LocalBundle) -> dict[str, bytes]:
    with Archive(bundle.path) as archive:
        wheel = archive.read(bundle.record.package)
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        return {name: files.read(name) for name in files.namelist()}


@needs_native
def test_a_bundle_brings_the_sources_of_the_engine_that_a_board_compiles(made_exports: Path, tmp_path: Path) -> None:
    made = bundle(made_exports, tmp_path / "native.zip", "tflite-int8@native")
    assert made.record.extras == [], "NumPy is all that it needs"
    files = package(made)
    here = Path(edgemnist.__file__).parents[1]
    assert {path.relative_to(here).as_posix() for path in engine_sources()} <= files.keys()
    assert not [name for name in files if name.endswith(".so")]
    # Bundles of all artifacts share an environment on the board.
    other = bundle(made_exports, tmp_path / "b.zip", "onnx-int8")
    assert needs(made.record)["package"] == needs(other.record)["package"]


def test_a_32_bit_board_is_fit_and_led_to_what_runs_there() -> None:
    findings = check_board(ZERO, [])
    system = next(finding for finding in findings if finding.name == "system")
    assert system.level is Level.WARNING
    assert "no wheels for 32-bit" in system.meaning
    assert "edgemnist bundle tflite-int8@native" in system.fix
    assert "edgemnist export --format c" in system.fix
    assert all(finding.level is not Level.FAILURE for finding in findings)
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
