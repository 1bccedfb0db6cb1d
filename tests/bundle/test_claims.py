"""A bundle claims what was recorded and nothing else, and no claim of it can be altered."""

import base64
import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgemnist.board.agent.bundle import RECORD_FILE, SIGNATURE_FILE, Archive, encode_archive, sign
from edgemnist.errors import EdgemnistError
from edgemnist.fleet.bundle import pack
from edgemnist.fleet.bundle.pack import MODEL_SIGNATURE_FILE, SBOM_FILE, BundleConfig, WheelsConfig, make_bundle
from edgemnist.fleet.deploy.run import open_bundle
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.pipeline.report.page import write_report
from edgemnist.pipeline.verify import claims
from edgemnist.pipeline.verify.claims import STATEMENT_FILE, unseal, verify_bundle
from edgemnist.pipeline.verify.run import verify
from tests.conftest import run_edgemnist
from tests.needs import require


def test_a_model_card_says_what_is_claimed_as_hugging_face_reads_it(tmp_path: Path) -> None:
    write_report(Exports.open("reference"), tmp_path / "README.md", card=True)
    front = msgspec.yaml.decode((tmp_path / "README.md").read_text().split("---\n")[1])
    results = front["model-index"][0]["results"]
    assert [one["metrics"][0]["value"] for one in results] == [0.997, 0.997]


def contents(path: Path) -> dict[str, bytes]:
    with Archive(path) as archive:
        return {name: archive.read(name) for name in archive.names()}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    require("ssh-keygen")
    monkeypatch.setattr(pack, "fetch_wheels", lambda *_, **_pins: [("numpy-2.0-py3-none-any.whl", b"wheel")])
    monkeypatch.setattr(pack, "board_engines", lambda *_: {})
    monkeypatch.setattr(pack, "package_wheel", lambda *_: ("edgemnist-0.1.0-py3-none-any.whl", b"package"))
    key = tmp_path / "key"
    for path in (key, tmp_path / "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", path], check=True)
    (tmp_path / "signers").write_text(f"me@here {key.with_suffix('.pub').read_text()}")
    make_bundle(Exports.open("reference"), tmp_path / "b.zip", BundleConfig(key=key, wheels=WheelsConfig()))
    return tmp_path


def test_the_statement_holds_what_was_recorded_and_the_sbom_every_file(place: Path) -> None:
    result, files = verify_bundle(place / "b.zip", place / "signers", verify), contents(place / "b.zip")
    assert (result.passed, result.unusable, result.signed_by) == (True, [], "me@here")
    rows = json.loads((reference_directory() / "verify.json").read_bytes())["artifacts"]
    (artifact,) = result.statement["predicate"]["artifacts"]
    assert result.statement["subject"][0]["digest"]["sha256"] == artifact["sha256"] == rows[0]["sha256"]
    for one, row in zip(artifact["models"], rows, strict=True):
        assert (one["name"], one["rounding"]) == (f"tflite-int8@{row['runtime']}", "single")
        assert {name: one[name] for name in ("accuracy", "accuracy_interval", "flips")}.items() <= row.items()
        assert one["measured"] == row["verdict"]["rests_on"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(files[SBOM_FILE].decode()) is None
    parts = (part for part in json.loads(files[SBOM_FILE])["components"] if "hashes" in part)
    hashes = {part["bom-ref"]: part["hashes"][0]["content"] for part in parts}
    assert hashes == {path: sha256(data) for path, data in files.items() if path.startswith(("exports/", "wheels/"))}


def test_what_did_not_pass_or_is_not_known_is_not_claimed(made_exports: Path, place: Path) -> None:
    exports = Path(shutil.copytree(made_exports, place / "exports"))

    def claimed() -> Any:
        make_bundle(Exports.open(exports), place / "b.zip", BundleConfig(artifacts=("tflite-int8",)))
        return unseal(contents(place / "b.zip")[STATEMENT_FILE], None)["predicate"]["artifacts"][0]["models"][0]

    assert claimed() == {"name": "tflite-int8", "outcome": "unknown", "reasons": ["it was not verified"]}
    (exports / "gate.toml").write_text("[tflite-int8]\nmax_abs_diff = 0.0\n")
    assert run_edgemnist("verify", "tflite-int8", cwd=place).returncode == 1
    assert (set(claimed()), claimed()["outcome"]) == ({"name", "outcome", "reasons"}, "missed")


def test_model_signing_accepts_what_an_ec_key_signed_and_nothing_that_was_changed(place: Path) -> None:
    for name, data in contents(place / "b.zip").items():
        (place / "u" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "u" / name).write_bytes(data)
    pem = subprocess.run(["ssh-keygen", "-e", "-m", "PKCS8", "-f", place / "key.pub"], check=True, capture_output=True)
    (place / "key.pem").write_bytes(pem.stdout)
    words: list[str | Path] = ["verify", "key", place / "u", "--signature", place / "u" / MODEL_SIGNATURE_FILE]
    for code in (0, 1):
        command = [sys.executable, "-m", "model_signing", *words, "--public_key", place / "key.pem"]
        assert subprocess.run(command, check=False, capture_output=True).returncode == code
        (place / "u" / STATEMENT_FILE).write_bytes(b"{}")


def test_bundles_without_claims_are_taken_and_prove_nothing(place: Path) -> None:
    files = {name: data for name, data in contents(place / "b.zip").items() if not name.startswith("claims/")}
    (place / "b.zip").write_bytes(encode_archive(recorded(files)))
    assert not open_bundle(place / "b.zip").signed
    result = verify_bundle(place / "b.zip", place / "signers", verify)
    assert (result.verdict.outcome, result.statement) == ("unknown", {})


@pytest.mark.all
def test_artifacts_made_again_are_equal_or_it_is_said_what_differs(
    made_exports: Path, cache: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEMNIST_CACHE", str(cache))
    exports = Exports.open(made_exports)
    exports.manifest = msgspec.structs.replace(exports.manifest, artifacts=[exports.manifest.artifact("tflite-int8")])
    made = claims.rebuilt(exports, exports.model_path, ["--offline"])
    assert made == dict.fromkeys(["tflite-int8", "golden pack"], ("", "is equal"))
    made = claims.rebuilt(exports, exports.model_path, [f"--data={place / 'gone.csv'}"])
    assert re.fullmatch(rf"fails: {place}/gone.csv does not exist\. Data are .*[a-z]", made["tflite-int8"][1])
    old = exports.manifest.artifact("tflite-int8")
    (place / old.file).write_bytes((made_exports / old.file).read_bytes()[:-1] + b"?")
    other = Exports(place, exports.manifest), msgspec.structs.replace(old, sha256="0" * 64)
    status, how = claims._compared(exports, old, *other)
    assert (status, how.startswith("has 1 other bytes of")) == ("altered", True)


def recorded(files: dict[str, bytes], key: Path | None = None) -> dict[str, bytes]:
    record = json.loads(files[RECORD_FILE])
    kept = {name: data for name, data in files.items() if name not in {RECORD_FILE, SIGNATURE_FILE}}
    record["files"] = [{"path": one, "bytes": len(kept[one]), "sha256": sha256(kept[one])} for one in sorted(kept)]
    data = json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"
    return {**kept, RECORD_FILE: data, **({} if key is None else {SIGNATURE_FILE: sign(data, key)})}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield from ([] if items else [path])
    for name, one in items:
        yield from leaves(one, (*path, name))


SIGNER_ANSWERS = r"predicate\.(training\b.*|source\.file)|.*\.measured\.(machine|runtime_version|edgemnist)"


def changed(document: Any, chance: random.Random, spared: str = "") -> bytes:
    paths = [path for path in leaves(document) if path and not re.fullmatch(spared, ".".join(map(str, path)))]
    *way, last = chance.choice(paths)
    part = document
    for step in way:
        part = part[step]
    value, kind = part[last], chance.randrange(4)
    if kind == 0:
        part.pop(last)
    elif isinstance(value, str) and value:
        place = chance.randrange(len(value))
        part[last] = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        part[last] = value + chance.choice([1, -1, 0.001, 10**6])
    else:
        part[last if isinstance(part, list) or kind > 1 else f"{last}s"] = ["another"]
    return json.dumps(document).encode()


def altered(files: dict[str, bytes], mine: Path, stranger: Path, chance: random.Random) -> bytes:
    documents = (STATEMENT_FILE, SBOM_FILE, MODEL_SIGNATURE_FILE, "exports/manifest.json")
    payload, name = base64.b64decode(json.loads(files[STATEMENT_FILE])["payload"]), chance.choice(documents)
    keys, signers = (mine, mine), 1
    match chance.choices(("byte", "field", "stranger", "spaces", "unsigned", "lie"), (40, 20, 10, 5, 5, 20))[0]:
        case "byte":
            data, name = bytearray(encode_archive(files)), chance.choice([*documents, RECORD_FILE, SIGNATURE_FILE])
            data[chance.choice([0, data.index(files[name])]) + chance.randrange(len(files[name]))] ^= (
                1 << chance.randrange(8)
            )
            return bytes(data)
        case "field":
            old = {SIGNATURE_FILE: files[SIGNATURE_FILE]} if chance.randrange(2) else {}
            return encode_archive(recorded({**files, name: changed(json.loads(files[name]), chance)}) | old)
        case "stranger":
            keys = chance.choice([(mine, stranger), (stranger, mine), (stranger, stranger)])
        case "spaces":
            more = chance.choice([b'{"_type":"x",', b"{ ", b'{"more":%d,' % chance.randrange(10**6)])
            payload = payload.replace(b"{", more, 1)
        case "unsigned":
            signers = 0
        case "lie":
            payload = changed(json.loads(payload), chance, SIGNER_ANSWERS)
    sealed = claims._envelope(payload, [sign(claims._pae(payload), keys[0])] * signers)
    return encode_archive(recorded({**files, STATEMENT_FILE: sealed}, keys[1]))


@pytest.mark.parametrize(
    ("seed", "alterations"), [(0, 150), *(pytest.param(seed, 2_000, marks=pytest.mark.all) for seed in range(1, 6))]
)
def test_no_altered_claim_signature_or_metadata_is_accepted(seed: int, alterations: int, place: Path) -> None:
    files, chance = contents(place / "b.zip"), random.Random(seed)
    known = verify_bundle(place / "b.zip", place / "signers", verify)
    for number in range(alterations):
        data = altered(files, place / "key", place / "stranger", chance)
        assert data != encode_archive(files)
        (place / "b.zip").write_bytes(data)
        with contextlib.suppress(EdgemnistError):
            assert not verify_bundle(place / "b.zip", place / "signers", lambda _: known).passed, (seed, number)
