"""A release of the tagged commit, in dist/: python -m tools.release [--key KEY].

The wheels of all systems and the sdist are built twice, in two clones, and must have the same bytes. Beside them: a
CycloneDX SBOM, the changelog's section as NOTES.md, SHA256SUMS, and with an SSH key its signature. Then twine checks
what an index will show, and a wheel for this machine is installed in an empty environment, hashes checked, where the
README's commands run. Nothing is published. Exit code 2: the commit is not fit for a release; 1: the result is not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
import venv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from edgemnist.ground.built import built_from
from edgemnist.model.native import WHEELS

ROOT = Path(__file__).parents[1]
NAMESPACE = "edgemnist-release"
"""Of the signature: one made for a bundle or for a git commit does not count."""
SUMS, NOTES = "SHA256SUMS", "NOTES.md"
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


class ReleaseError(Exception):
    """Why there is no release, as a sentence, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Return what a command prints. Raises ReleaseError with the end of its output if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(map(str, command))} failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def notes(changelog: str, version: str) -> str:
    """Return the section of a version in a changelog. Raises ReleaseError if it has none, or the next one has begun."""
    found = dict(re.findall(r"^## \[(.+?)\].*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL))
    if found.get("Unreleased", "").strip() or not found.get(version, "").strip():
        what = "text under [Unreleased]" if found.get("Unreleased", "").strip() else f"nothing under [{version}]"
        raise ReleaseError(f"CHANGELOG.md has {what}. Give the section of this release the name [{version}].", 2)
    return f"{found[version].strip()}\n"


def tagged_version(root: Path) -> str:
    """Return the version of a checkout. Raises ReleaseError unless its commit has that tag, and no file differs."""
    text = (root / "edgemnist" / "__init__.py").read_text(encoding="utf-8")
    version: str = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]
    tags = run("git", "tag", "--points-at", "HEAD", cwd=root).split()
    if f"v{version}" not in tags:
        there = f"has the tag {tags[0]}" if tags else "has no tag"
        raise ReleaseError(f"edgemnist/__init__.py says {version}, and the commit {there}. Run: git tag v{version}", 2)
    found = built_from(root / "edgemnist")
    if found is None or found.changed:
        raise ReleaseError("Files differ from those of the commit. Commit them, or run: git stash", 2)
    return version


def build(clone: Path, epoch: str, targets: Iterable[str]) -> dict[str, bytes]:
    """Return the sdist and the wheels for `targets` of a clone, by file name."""
    for kind, target in (("sdist", ""), *(("wheel", target) for target in targets)):
        words = ("-m", "hatchling", "build", "-t", kind)
        run(sys.executable, *words, cwd=clone, SOURCE_DATE_EPOCH=epoch, EDGEMNIST_WHEEL_TARGET=target)
    return {path.name: path.read_bytes() for path in (clone / "dist").iterdir()}


def build_twice(root: Path, targets: Iterable[str]) -> dict[str, bytes]:
    """Return what two clones at different places both make. Raises ReleaseError where bytes differ."""
    epoch, made = run("git", "log", "-1", "--format=%ct", cwd=root).strip(), []
    for number in range(2):
        with tempfile.TemporaryDirectory(prefix="edgemnist-" + "again-" * number) as directory:
            run("git", "clone", "--quiet", root, directory)
            made.append(build(Path(directory), epoch, targets))
    first, second = made
    if different := sorted(name for name in {*first, *second} if first.get(name) != second.get(name)):
        raise ReleaseError(f"Two builds of the same commit differ: {', '.join(different)}.")
    return first


def sbom(version: str, files: Mapping[str, bytes], pins: str, moment: datetime) -> bytes:
    """Return the CycloneDX SBOM of a release: its files, and the packages of a light installation."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    def package(name: str, version: str) -> Component:
        name = re.sub(r"[-_.]+", "-", name).lower()
        purl = PackageURL("pypi", None, name, version)
        return Component(name=name, version=version, type=ComponentType.LIBRARY, bom_ref=str(purl), purl=purl)

    root = package("edgemnist", version)
    root.licenses.add(LicenseExpression("Apache-2.0"))
    parts = [package(*pin) for pin in PIN.findall(pins)]
    for name, data in sorted(files.items()):
        content = hashlib.sha256(data).hexdigest()
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=content)]
        parts.append(Component(name=name, type=ComponentType.FILE, bom_ref=name, hashes=hashes))
    bom = Bom(components=parts, serial_number=uuid.uuid5(uuid.NAMESPACE_URL, str(root.purl)))
    bom.metadata.component, bom.metadata.timestamp = root, moment
    bom.register_dependency(root, parts)
    return (JsonV1Dot6(bom).output_as_string(indent=1) + "\n").encode()


def sign(sums: Path, key: Path) -> Path:
    """Sign with an SSH key, check the signature, and return its file."""
    signature = sums.with_name(f"{sums.name}.sig")
    signature.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, sums)
    with sums.open("rb") as text:
        check = ("ssh-keygen", "-q", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature))
        if subprocess.run(check, stdin=text, check=False, capture_output=True).returncode != 0:
            raise ReleaseError(f"The signature made with {key} is not valid.")
    return signature


def runs_here(wheel: Path) -> bool:
    """Return whether this Python installs a wheel."""
    return not parse_wheel_filename(wheel.name)[3].isdisjoint(sys_tags())


def try_wheel(wheel: Path, root: Path) -> str:
    """Install a wheel in an empty environment, every file by its hash, and run the README's commands; return the last.

    The README installs a checkout: the wheel takes its place, and hashes that of the pins.
    """
    readme = (root / "README.md").read_text(encoding="utf-8")
    install, *commands = re.findall(r"```console\n\$ (pip install .*?)```", readme, re.DOTALL)[0].split("\n$ ")
    with tempfile.TemporaryDirectory(prefix="edgemnist-empty-") as name:
        place = Path(name)
        venv.create(place / "venv", with_pip=True)
        hashed = hashlib.sha256(wheel.read_bytes()).hexdigest()
        extra = install.split('"')[1].removeprefix(".")
        (place / "wheel.txt").write_text(f"edgemnist{extra} @ {wheel.as_uri()} --hash=sha256:{hashed}\n")
        # All that a board can need: pip counts hashes of what it is asked for, and none of mere constraints.
        words = ("--quiet", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:", "--require-hashes")
        pins = root / "requirements-light.txt"
        run(place / "venv/bin/pip", "install", *words, "-r", pins, "-r", "wheel.txt", cwd=place)
        draw = "from edgemnist.model.exports.golden import *; from edgemnist.model.exports.manifest import *; "
        draw += "from edgemnist.model.exports import reference_directory as d; from PIL import Image; "
        draw += "i = read_golden(d(), read_manifest(d())).images[0]; "
        draw += "Image.fromarray(255 - i).resize((280, 280)).save('digit.png')"
        run(place / "venv/bin/python", "-c", draw, cwd=place)
        path = f"{place / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"
        said = [run("sh", "-c", line, cwd=place, PATH=path) for line in ("edgemnist --version", *commands)]
    return "".join(said).strip()


def release(root: Path, key: Path | None, targets: Iterable[str]) -> None:
    """Make a release in `dist/` of a checkout. Raises ReleaseError."""
    version = tagged_version(root)
    text = notes((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if key is not None and not key.is_file():
        raise ReleaseError(f"There is no key {key}. Make one with: ssh-keygen -t ed25519 -f {key}", 2)
    files = build_twice(root, targets)
    print(f"{len(files)} files, built twice with the same bytes.")
    moment = datetime.fromtimestamp(int(run("git", "log", "-1", "--format=%ct", cwd=root)), UTC)
    pins = (root / "constraints-light.txt").read_text(encoding="utf-8")
    files[f"edgemnist-{version}.cdx.json"] = sbom(version, files, pins, moment)
    files[NOTES] = text.encode()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    dist = root / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    for name, data in {**files, SUMS: sums.encode()}.items():
        (dist / name).write_bytes(data)
    packages = sorted(path for path in dist.iterdir() if path.suffix in {".whl", ".gz"})
    run(sys.executable, "-m", "twine", "check", "--strict", *packages)
    for wheel in filter(runs_here, packages[:-1]):
        print(f"{wheel.name}, installed with hashes in an empty environment:\n{try_wheel(wheel, root)}")
    print(sums, end="")
    print(f"Signed: {sign(dist / SUMS, key).name}." if key else f"{SUMS} is not signed. Name a key with: KEY=FILE")


def main() -> int:
    """Make the release of this checkout, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", type=Path, help="an SSH key, or the .pub file of one in the agent, to sign with")
    options = parser.parse_args()
    try:
        release(ROOT, options.key, WHEELS)
    except ReleaseError as error:
        print(f"There is no release. {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
