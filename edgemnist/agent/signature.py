"""Signatures made with the user's own SSH key, and checked against an allowed-signers file (`ssh-keygen -Y`).

What is signed is the record of the bundle, which has the hash of every file.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from edgemnist.errors import BundleError, MissingDependencyError

NAMESPACE = "edgemnist-bundle"
"""A signature for another purpose, such as a git commit, does not count here."""


def sign(data: bytes, key: Path) -> bytes:
    """Return the signature of `data` with an SSH key: a private key file, or the public half of one in the agent.

    Raises BundleError where ssh-keygen cannot sign with it.
    """
    done = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, data=data)
    if done.returncode != 0:
        raise BundleError(
            f"The bundle cannot be signed with {key}: {_last_line(done)}",
            hint="Name an SSH key file such as ~/.ssh/id_ed25519, or the .pub file of a key in your agent.",
        )
    return done.stdout


def verify(data: bytes, signature: bytes | None, allowed_signers: Path) -> str:
    """Return who signed `data`, as the allowed-signers file names them.

    Raises BundleError if there is no signature, a stranger's, or one that is not of `data`.
    """
    hint = f"Sign it with: edgemnist bundle --sign KEY, a key that {allowed_signers} names."
    if signature is None:
        raise BundleError("The bundle is not signed, and this board takes signed bundles only", hint=hint)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "signature"
        file.write_bytes(signature)
        trusted = ("-f", str(allowed_signers), "-s", str(file))
        found = _ssh_keygen("find-principals", *trusted, data=b"")
        signers = found.stdout.decode(errors="replace").split("\n")[0]
        if found.returncode != 0 or not signers:
            raise BundleError("The bundle is signed by a stranger to this board", hint=hint)
        signer = signers.split(",")[0]
        done = _ssh_keygen("verify", *trusted, "-I", signer, "-n", NAMESPACE, data=data)
    if done.returncode != 0:
        raise BundleError(f"The signature of the bundle does not hold: {_last_line(done)}", hint=hint)
    return signer


def _ssh_keygen(action: str, *arguments: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", "-Y", action, *arguments], input=data, check=False, capture_output=True)
    except FileNotFoundError:
        raise MissingDependencyError("A signature", ["ssh-keygen"], "sudo apt install openssh-client") from None


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ssh-keygen ended with {done.returncode}"
