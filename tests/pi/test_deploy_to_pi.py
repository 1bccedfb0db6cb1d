"""The whole way to a Raspberry Pi: over ssh to an emulated board, aarch64 wheels and self-test included.

The SSH server, the Python that makes the environment, pip and the runtimes are Debian's and PyPI's arm64 builds and run
on the processor of a Pi 3, 4 or 5 as QEMU has it; the kernel, the disk and the network are this machine's. Times mean
nothing and are not looked at.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from edgemnist.board.agent import SelfTestLimits
from edgemnist.digits.predict.run import predict_on
from edgemnist.digits.results import ReadResult
from edgemnist.errors import GateMissedError
from edgemnist.fleet.bundle.pack import WheelsConfig
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, doctor_on, releases_on, rollback_on
from edgemnist.fleet.deploy.target import BoardAddress
from edgemnist.ground.results.boards import BoardResult, RollbackResult
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import descendants, free_port, kill, make_key
from tests.pi.conftest import CRASHED, HERE, MODELS, REPOSITORY

pytestmark = pytest.mark.all

PATIENT = DeployConfig(retries=0, limits=SelfTestLimits(timeout_s=1800.0))


class EmulatedBoard:
    """An arm64 sshd in the sysroot, on the processor of one model after the other."""

    def __init__(self, sysroot: Path, directory: Path) -> None:
        self._sysroot = sysroot
        self._directory = directory
        self._port = free_port()
        self.root = directory / "edgemnist"
        host, user = make_key(directory / "host"), make_key(directory / "user")
        # The home directory is this machine's: as in tests/deploy, its start-up files belong to no board.
        (directory / "sshd_config").write_text(
            f"Port {self._port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {user}.pub\nLoginGraceTime 600\nSetEnv SHLVL=2\n"
            f"Subsystem sftp /usr/lib/openssh/sftp-server\n"
        )
        (directory / "known").write_text(f"[127.0.0.1]:{self._port} {host.with_suffix('.pub').read_text()}")
        self.ssh_config = directory / "ssh_config"
        self.ssh_config.write_text(
            f"Host pi\n  HostName 127.0.0.1\n  Port {self._port}\n  User root\n  IdentityFile {user}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {directory / 'known'}\n  GlobalKnownHostsFile /dev/null\n"
        )

    @property
    def target(self) -> BoardAddress:
        return BoardAddress.of("pi", root=str(self.root), ssh_config=self.ssh_config)

    @contextlib.contextmanager
    def on(self, model: str) -> Iterator[None]:
        """Run the server on the processor of this model."""
        command: list[str | Path] = [HERE / "run-on-pi.sh", self._sysroot, "/usr/sbin/sshd", "-D", "-e", "-f"]
        process = subprocess.Popen(
            [*command, self._directory / "sshd_config"],
            cwd=self._directory,
            env={**os.environ, "PI_MODEL": model},
            stderr=subprocess.DEVNULL,
        )
        try:
            self._await(listening=True)
            yield
        finally:
            for child in [*descendants(process.pid), process.pid]:
                kill(child)
            process.wait()
            # The next server would be taken for running while this one still dies.
            self._await(listening=False)

    def deploy(self, bundle: LocalBundle) -> BoardResult:
        """Deploy, once more if QEMU lost its race between threads in the self-test: `conftest.run_on_pi`."""
        result = deploy_to(self.target, bundle, PATIENT, lambda _: None)
        if result.fault is not None and CRASHED.search(result.fault.message):
            return deploy_to(self.target, bundle, PATIENT, lambda _: None)
        return result

    def rollback(self) -> RollbackResult:
        """Roll back, once more if QEMU lost its race there."""
        try:
            return rollback_on(self.target, None, 60.0)
        except GateMissedError as error:
            if not CRASHED.search(error.message):
                raise
            return rollback_on(self.target, None, 60.0)

    def _await(self, *, listening: bool) -> None:
        deadline = time.monotonic() + 120
        while True:
            with socket.socket() as client:
                if (client.connect_ex(("127.0.0.1", self._port)) == 0) == listening:
                    return
            assert time.monotonic() < deadline, "the emulated sshd does not start, or does not end"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def emulated(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedBoard]:
    board = EmulatedBoard(sysroot, tmp_path_factory.mktemp("pi"))
    yield board
    shutil.rmtree(board.root)


def python_of(sysroot: Path) -> str:
    """Return the version of the board's Python, such as 3.11."""
    return next(sysroot.glob("usr/lib/python3.[0-9]*")).name.removeprefix("python")


@pytest.fixture(scope="module")
def bundle(exports: Path, sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """All eight artifacts, with the wheels for the Python of the emulated system.

    The self-test has 1,000 images: on all 10,000 the artifacts are compared without ssh, in `test_on_pi.py`.
    """
    names = [artifact.name for artifact in read_manifest(exports).artifacts]
    few = small_exports(exports, tmp_path_factory.mktemp("bundle") / "few", names, images=1000)
    return bundled(few, wheels=WheelsConfig(pythons=(python_of(sysroot),)))


class Deployed(NamedTuple):
    """A board with the processor of this model, to which the bundle was deployed, and which still runs."""

    model: str
    board: EmulatedBoard
    result: BoardResult


@pytest.fixture(scope="module", params=MODELS)
def deployed(request: pytest.FixtureRequest, emulated: EmulatedBoard, bundle: LocalBundle) -> Iterator[Deployed]:
    with emulated.on(request.param):
        yield Deployed(request.param, emulated, emulated.deploy(bundle))


def test_a_bundle_is_deployed_and_tests_itself_on_the_board(deployed: Deployed, bundle: LocalBundle) -> None:
    result = deployed.result
    assert result.fault is None
    # The first board installs it; the others are the same board with another processor, which tests it again.
    assert result.status in {"deployed", "unchanged"}
    assert result.selftest is not None
    # This board has no compiler for the engine, which would execute the int8 file beside LiteRT.
    assert {parity.name for parity in result.selftest.artifacts} == {*bundle.record.artifacts}
    for parity in result.selftest.artifacts:
        assert parity.replay is not None
        assert parity.replay.flips == 0, parity.name
        assert parity.replay.verdict in {"identical", "rounding"}, parity
    listed = releases_on(deployed.board.target)
    assert [(row.current, row.problems) for row in listed.releases] == [(True, [])]


def test_the_doctor_knows_the_processor_and_finds_every_runtime_loading(deployed: Deployed) -> None:
    result = doctor_on(deployed.board.target)
    assert result.healthy, result.findings
    assert result.facts["kernel_machine"] == "aarch64"
    assert ("asimddp" in result.facts["flags"]) == (deployed.model == "5")
    found = {finding.name: finding.value for finding in result.findings}
    assert found["ai-edge-litert"][0].isdecimal()
    assert found["onnxruntime"][0].isdecimal()
    assert found["tflite-int8"].endswith("32 images")


@pytest.mark.parametrize("deployed", ["4"], indirect=True)
def test_a_picture_and_a_page_are_read_and_verified_over_ssh(deployed: Deployed, exports: Path, tmp_path: Path) -> None:
    golden = read_golden(exports, read_manifest(exports))
    picture = tmp_path / "digit.png"
    Image.fromarray(golden.images[0]).save(picture)
    target = deployed.board.target
    prediction = predict_on(target, [picture], ["--artifact", "tflite-int8"]).predictions[0]
    verified = target.answer(["verify", "tflite-int8"], VerifyResult).result
    page = (REPOSITORY / "tests" / "read" / "pages" / "everything.jpg").read_bytes()
    read = target.answer(["read", "page.jpg", "--artifact", "tflite-int8"], ReadResult, {"page.jpg": page}).result
    assert prediction.digit == golden.probabilities[0].argmax()
    assert verified.passed
    assert len(read.digits) > 10


@pytest.mark.parametrize("deployed", ["5"], indirect=True)
def test_rollback_brings_the_release_before_back(deployed: Deployed, exports: Path, tmp_path: Path) -> None:
    # Both runtimes and the service, as in the first bundle, but no wheels: what is installed there has to do.
    few = small_exports(exports, tmp_path / "other", ["tflite-int8", "onnx-int8"], images=1000)
    other = bundled(few)
    after = deployed.board.deploy(other)
    assert after.fault is None
    # The same packages serve both, so nothing had to be installed.
    assert "install" not in {step.name for step in after.steps}
    assert deployed.board.rollback().release == deployed.result.release
