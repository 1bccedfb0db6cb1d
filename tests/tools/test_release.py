"""A release is made of one tagged commit, says which, and is the same whoever makes it."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgemnist.ground.built import Built, built_from
from tests.conftest import REPOSITORY
from tools.release import ReleaseError, build_twice, notes, release

TAG = "v" + next(
    line.split('"')[1]
    for line in (REPOSITORY / "edgemnist" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)


def git(root: Path, *words: str) -> str:
    name = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    return subprocess.run(["git", "-C", root, *name, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """The files of this checkout as one tagged commit, with a section of the changelog for it."""
    root = tmp_path / "project"
    for name in git(REPOSITORY, "ls-files", "-z").split("\0")[:-1]:
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    changes = root / "CHANGELOG.md"
    old = changes.read_text().replace(f"## [{TAG[1:]}]", "## [0.0.1]")
    changes.write_text(old.replace("## [Unreleased]", f"## [{TAG[1:]}] – 2026-11-30", 1))
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Begin")
    git(root, "tag", TAG)
    return root


@pytest.mark.all
@pytest.mark.needs("ssh-keygen")
def test_a_release_is_complete_signed_installed_and_made_twice_the_same(
    tagged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hatchling")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    dist, made = tagged / "dist", []
    for wanted in (key, None):
        release(tagged, wanted, ["any"])
        made.append({path.name: path.read_bytes() for path in dist.iterdir()})
    signature = made[0].pop("SHA256SUMS.sig")
    (dist / "SHA256SUMS.sig").write_bytes(signature)
    (dist / "allowed_signers").write_text(f"release {key.with_suffix('.pub').read_text()}")
    check = re.findall(r"```console\n(\$ sha256sum .*?)```", (REPOSITORY / "SECURITY.md").read_text(), re.DOTALL)[0]
    subprocess.run(["sh", "-ec", check.replace("$ ", "")], cwd=dist, check=True)
    assert made[0] == made[1]
    assert signature.startswith(b"-----BEGIN SSH SIGNATURE-----")
    said = capsys.readouterr().out
    assert f"edgemnist {TAG[1:]} (commit {git(tagged, 'rev-parse', 'HEAD').strip()})\n" in said
    assert said.count("SHA256SUMS is not signed.") == 1
    sums = {line.split()[1]: line.split()[0] for line in made[0].pop("SHA256SUMS").decode().splitlines()}
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in made[0].items()}
    assert {name.rpartition(".")[2] for name in sums} == {"gz", "json", "md", "whl"}
    bom = json.loads(made[0][f"edgemnist-{TAG[1:]}.cdx.json"])
    hashes = {part["name"]: part["hashes"][0]["content"] for part in bom["components"] if part["type"] == "file"}
    assert hashes == {name: sums[name] for name in sums if name.endswith((".gz", ".whl"))}
    assert "pkg:pypi/numpy@2.2.6" in {part["bom-ref"] for part in bom["components"]}
    assert made[0]["NOTES.md"].startswith(b"### Added\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tag", "--delete", TAG), f"the commit has no tag. Run: git tag {TAG}"),
        (("tag", "--force", "v9", TAG, "tag", "--delete", TAG), "the commit has the tag v9"),
        (("rm", "--quiet", "NOTICE"), "Files differ from those of the commit"),
        (("commit", "--quiet", "--message", "More", "--allow-empty"), "the commit has no tag"),
    ],
)
def test_a_commit_that_is_not_what_its_tag_says_is_refused(words: tuple[str, ...], said: str, tagged: Path) -> None:
    at = words.index("tag", 1) if "tag" in words[1:] else len(words)
    git(tagged, *words[:at])
    if words[at:]:
        git(tagged, *words[at:])
    with pytest.raises(ReleaseError, match=said) as caught:
        release(tagged, None, ["any"])
    assert caught.value.code == 2
    assert not (tagged / "dist").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"## [{TAG[1:]}0]\n\n- Much.\n\n## [{TAG[1:]}]\n\n## [0.0.1]\n\n- Old.\n", rf"nothing under \[{TAG[1:]}\]"),
        (f"## [Unreleased]\n\n- New.\n\n## [{TAG[1:]}]\n\n- Much.\n", r"text under \[Unreleased\]"),
    ],
)
def test_notes_are_those_of_this_version_and_of_no_other(text: str, said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        notes(f"# Changelog\n\n{text}", TAG[1:])


@pytest.mark.all
def test_two_builds_that_differ_are_no_release(tagged: Path) -> None:
    pytest.importorskip("hatchling")
    hook = tagged / "hatch_build.py"
    hook.write_text(hook.read_text().replace("found._asdict()", '{**found._asdict(), "at": self.root}'))
    git(tagged, "commit", "--quiet", "--all", "--message", "Where")
    with pytest.raises(ReleaseError, match=r"builds of the same commit differ: .*-any\.whl, .*\.tar\.gz"):
        build_twice(tagged, ["any"])


def test_a_checkout_knows_its_commit_and_no_other_repository(tagged: Path, tmp_path: Path) -> None:
    commit = git(tagged, "rev-parse", "HEAD").strip()
    assert built_from(tagged / "edgemnist") == Built(commit, changed=False)
    (tagged / "NOTICE").write_text("Mine.")
    assert built_from(tagged / "edgemnist") == Built(commit, changed=True)
    unpacked = tagged / "docs" / "edgemnist"
    unpacked.mkdir()
    assert built_from(unpacked) is None
    (unpacked / "built.json").write_text('{"commit": "a1", "changed": false}')
    assert built_from(unpacked) == Built("a1", changed=False)
    (unpacked / "built.json").write_text('{"commit"')
    assert built_from(unpacked) is None
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert built_from(tmp_path / "edgemnist") is None
