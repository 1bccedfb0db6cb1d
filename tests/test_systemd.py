"""Units that systemd itself takes, and that leave a service with next to nothing to break."""

import dataclasses
import re
import subprocess
import sys
import urllib.request
from pathlib import Path, PurePosixPath

import pytest

from edgemnist.ground.systemd import Unit, quote, service_unit, shown, socket_unit
from tests.booted import booted
from tests.conftest import Run
from tests.deploy.loopback import free_port

MOST_EXPOSED = 2.0
"""Of systemd-analyze's 10: nginx as Debian has it is at 9.6."""
SERVE = Unit(
    name="digits",
    description="reads digits",
    command=["/usr/bin/python3", "-m", "edgemnist", "serve", "--exports", "/home/pi/my digits"],
    reads=[PurePosixPath("/home/pi/my digits")],
    user="root",
    notify=True,
    listens="127.0.0.1:8000",
    credentials=[("token", PurePosixPath("/etc/digits/token"))],
)
WATCH = Unit(
    name="watching",
    description="watches a camera",
    command=["/usr/bin/python3", "-m", "edgemnist", "watch", "0"],
    user="root",
    network=False,
    devices=["char-video4linux"],
    groups=["video"],
)


@pytest.mark.needs("systemd")
@pytest.mark.parametrize("service", [SERVE, WATCH], ids=lambda service: service.name)
def test_systemd_takes_the_units_and_finds_little_exposed(service: Unit, tmp_path: Path) -> None:
    unit = tmp_path / f"{service.name}.service"
    unit.write_text(service_unit(service))
    units = [unit]
    if service.listens:
        units.append(tmp_path / f"{service.name}.socket")
        units[-1].write_text(socket_unit(service))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], check=False, capture_output=True, text=True
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit], check=True, capture_output=True, text=True
    )
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", judged.stdout)
    assert exposure
    assert float(exposure[1]) <= MOST_EXPOSED, judged.stdout


@pytest.mark.parametrize(
    ("unit", "has", "lacks"),
    [
        # A service sees what it reads, no other home, and no device.
        (SERVE, ("ProtectHome=tmpfs", 'BindReadOnlyPaths="/home/pi/my digits"', "PrivateDevices=yes"), ()),
        (
            dataclasses.replace(SERVE, reads=[PurePosixPath("/opt/digits")]),
            ("ProtectHome=yes",),
            ("BindReadOnlyPaths",),
        ),
        (WATCH, ("DeviceAllow=char-video4linux rw", "SupplementaryGroups=video", "PrivateNetwork=yes"), ()),
        # A unit of a user asks for nothing that only the system can give.
        (
            dataclasses.replace(SERVE, user=None),
            ("WantedBy=default.target", "PrivateUsers=yes", "BindReadOnlyPaths=%t/systemd/notify"),
            ("\nUser=", "\nCapabilityBoundingSet=", "\nProtectClock="),
        ),
    ],
)
def test_a_unit_gives_what_is_needed_and_no_more(unit: Unit, has: tuple[str, ...], lacks: tuple[str, ...]) -> None:
    text = service_unit(unit)
    assert [line for line in has if line not in text] == []
    assert [line for line in lacks if line in text] == []


def test_words_keep_their_meaning() -> None:
    for word, quoted in {"a": "a", "a b": '"a b"', "50%": "50%%", "%d/token": "%d/token", "$HOME": "$$HOME",
                         '"': '"\\""', "": '""'}.items():  # fmt: skip
        assert quote(word) == quoted


def test_a_unit_of_a_release_outlives_it(edgemnist: Run, made_exports: Path, tmp_path: Path) -> None:
    release = tmp_path / "store" / "releases" / "1-0123456789ab"
    release.mkdir(parents=True)
    (release / "exports").symlink_to(made_exports)
    (release / "venv").symlink_to(sys.prefix)
    (tmp_path / "store" / "current").symlink_to("releases/1-0123456789ab")
    current, python = (tmp_path / "store" / "current" / name for name in ("exports", "venv/bin/python"))
    options = ["--host", "0.0.0.0", "--token-file", "/etc/edgemnist/token", "--rate", "7"]
    served = edgemnist("serve", "--systemd", "--exports", current, *options)
    assert served.returncode == 0, served.stderr
    words = f"serve --host 0.0.0.0 --port 8000 --rate 7.0 --token-file %d/token --exports {current}\n"
    assert words in served.stdout
    assert "LoadCredential=token:/etc/edgemnist/token\n" in served.stdout
    watched = edgemnist("watch", "0", "--systemd", "--exports", current)
    for done in (served, watched):
        assert f"ExecStart={python} -I -m edgemnist " in done.stdout
        # The link is to lead to another release one day, so all of them are shown.
        assert f"BindReadOnlyPaths={tmp_path / 'store'}\n" in done.stdout
    socket = edgemnist("serve", "--systemd", "--socket", "--port", "9000")
    assert "ListenStream=127.0.0.1:9000\n" in socket.stdout


@pytest.mark.parametrize(
    ("source", "families", "devices"),
    [
        ("0", "AF_UNIX", ["char-video4linux rw"]),
        ("picamera", "AF_UNIX", ["char-video4linux rw", "char-media rw", "char-dma_heap rw"]),
        ("rtsp://camera/1", "AF_UNIX AF_INET AF_INET6", []),
        (".", "AF_UNIX", []),
    ],
)
def test_watching_uses_its_source(
    source: str, families: str, devices: list[str], edgemnist: Run, tmp_path: Path
) -> None:
    done = edgemnist("watch", source, "--systemd", "--steady", "2", "--every")
    assert done.returncode == 0, done.stderr
    assert re.findall("^RestrictAddressFamilies=(.*)$", done.stdout, flags=re.MULTILINE) == [families]
    assert re.findall("^DeviceAllow=(.*)$", done.stdout, flags=re.MULTILINE) == devices
    assert ("PrivateDevices=yes" in done.stdout) == (not devices)
    where = tmp_path if source == "." else source
    assert f"-m edgemnist watch {where} --steady 2" in done.stdout
    if source == ".":
        assert f"BindReadOnlyPaths={tmp_path}" in done.stdout


def test_a_unit_names_its_artifacts_and_sees_them(edgemnist: Run, made_exports: Path, tmp_path: Path) -> None:
    def unit(*words: str | Path) -> tuple[str, list[str]]:
        done = edgemnist(*words, "--systemd")
        assert done.returncode == 0, done.stderr
        (command,) = re.findall("^ExecStart=(.*)$", done.stdout, flags=re.MULTILINE)
        assert "ProtectHome=tmpfs\n" in done.stdout
        return command, re.findall("^BindReadOnlyPaths=(.*)$", done.stdout, flags=re.MULTILINE)

    named, elsewhere = tmp_path / "named", tmp_path / "elsewhere" / "mine.tflite"
    command, seen = unit("watch", "0", "--exports", "named")
    assert command.endswith(f" --exports {named}")
    assert str(named) in seen
    for words in (["serve"], ["watch", "0"]):
        command, seen = unit(*words, "--exports", "named", "--artifact", "elsewhere/mine.tflite")
        assert f" --artifact {elsewhere}" in command
        assert str(elsewhere) in seen
    # As without --systemd, what was exported here answers, and not the reference.
    (tmp_path / "exports").symlink_to(made_exports)
    command, seen = unit("watch", "0", "--artifact", "tflite-int8")
    assert command.endswith(f" --exports {tmp_path / 'exports'} --artifact tflite-int8")
    assert str(tmp_path / "exports") in seen


def test_a_service_sees_the_python_that_its_environment_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/home/pi/.local/share/uv/python/3.13")
    assert PurePosixPath("/home/pi/.local/share/uv/python/3.13") in shown()


def test_a_password_stays_out_of_the_unit(edgemnist: Run, tmp_path: Path) -> None:
    # Only root may be able to read it, so it is not looked at.
    done = edgemnist("watch", "--source-file", "camera", "--systemd")
    assert done.returncode == 0, done.stderr
    assert f"LoadCredential=source:{tmp_path / 'camera'}\n" in done.stdout
    assert " -m edgemnist watch --source-file %d/source --exports " in done.stdout
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n" in done.stdout
    assert "PrivateDevices=yes\n" in done.stdout


@pytest.mark.all
@pytest.mark.needs("systemd", "root")
def test_a_users_own_systemd_starts_the_service_with_all_that_it_may_need(
    edgemnist: Run, made_exports: Path, tmp_path: Path
) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "token").write_text("0123456789abcdef")
    serve = ["serve", "--systemd", "--user", "--port", str(free_port()), "--exports", made_exports]
    serve += ["--token-file", "token", "--collect", "samples"]
    units = [tmp_path / "edgemnist.socket", tmp_path / "edgemnist.service"]
    for unit, more in zip(units, (["--socket"], []), strict=True):
        unit.write_text(edgemnist(*serve, *more).stdout)
    with booted(tmp_path, made_exports) as systemd:
        systemd.run("systemctl", "start", "user@0.service")
        control = ["env", "XDG_RUNTIME_DIR=/run/user/0", "systemctl", "--user"]
        systemd.run(*control, "link", *units)
        # It says that it is ready, or this fails.
        systemd.run(*control, "start", "edgemnist.service")
        urllib.request.urlopen(f"http://127.0.0.1:{serve[4]}/healthz").close()
        assert (tmp_path / "samples" / "samples.sqlite").exists()
        said = systemd.run("journalctl", "--output=cat", "_COMM=python")
        assert ("with your token" in said, "chmod" in said) == (True, False)
