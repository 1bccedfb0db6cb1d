"""What a bundle claims, and whether its files, and its source model, bear that out.

It is what `export` and `verify` recorded, as an in-toto statement in a DSSE envelope: what nobody recorded is null, and
of a model that did not pass its gate there is no figure. The envelope is signed as `ssh-keygen -Y sign` does, for every
key that signs bundles. See https://github.com/in-toto/attestation (spec/v1) and
https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md.
"""

import base64
import contextlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from edgemnist.board.agent.bundle import EXPORTS, Archive, read_raw_record, read_record, read_signature, sign, verify
from edgemnist.errors import BundleError, UsageError
from edgemnist.ground.results.verdict import PASSED, UNKNOWN
from edgemnist.ground.results.verify import NOT_RUN, ArtifactParity, Unusable, VerifyResult, verdict_on
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import Artifact, FileRecord, file_sha256
from edgemnist.model.exports.models import split_name
from edgemnist.model.exports.questions import source_of_training
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.pipeline.train.network import training_command

CLAIMS: Final = "claims/"
STATEMENT_FILE: Final = f"{CLAIMS}statement.intoto.json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://github.com/edgemnist/edgemnist/parity/v1"
"""Ours: SLSA's provenance has no figures, and in-toto's test result has neither a source nor an interval."""
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
Document = dict[str, Any]
Problem = tuple[str, str]
"""What speaks against a claim: `altered` or `not run`, as in `Unusable`, and why."""
ALTERED: Final = "altered"
_UNSEEN: Final = re.compile(r"predicate\.(training|source\.file)\b|.*\.measured\.(machine|runtime_version|edgemnist)$")
"""Claims of which the files know nothing: the signature alone answers for these."""


def statement(
    exports: Exports, artifacts: Sequence[Artifact], runtimes: Collection[str], verified: VerifyResult | None = None
) -> Document:
    """Return the statement on artifacts in some runtimes that `verified` bears out, by default what is recorded.

    Raises ManifestError and ArtifactError where the records or the golden pack are broken.
    """
    golden, manifest, trained = exports.read_golden(), exports.manifest, None
    model, pack, learnt = golden.model_sha256, manifest.golden, manifest.learnt
    if verified is None:
        found, training = exports.findings.verify, exports.findings.training
        verified = found.result if found is not None and not exports.mismatch else None
        trained = training.result if training is not None and training.result.sha256 == model else None
    verified = verified if verified is not None and verified.model_sha256 == model else None
    rows = [row for row in verified.artifacts if row.runtime in runtimes] if verified is not None else []
    predicate = {
        "source": {"file": manifest.model and manifest.model.file, "sha256": model},
        "training": trained and {"command": training_command(trained) or None, "versions": trained.versions},
        "trained_on": manifest.data,
        "learnt": len(learnt.samples) if learnt is not None and learnt.model_sha256 == model else 0,
        "evaluated_on": golden.data,
        "golden": pack and pack.sha256,
        "images": len(golden),
        "seen": pack and pack.seen,
        "reference_accuracy": verified and verified.reference_accuracy,
        "artifacts": [_artifact(one, len(golden), rows) for one in artifacts],
    }
    subjects = [{"name": EXPORTS + one.file, "digest": {"sha256": one.sha256}} for one in artifacts]
    whole = {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": PREDICATE_TYPE, "predicate": predicate}
    return json.loads(msgspec.json.encode(whole))  # type: ignore[no-any-return]  # it is


def _artifact(record: Artifact, golden: int, rows: Sequence[ArtifactParity]) -> Document:
    calibrated = record.calibration and (record.calibration.drawn or record.calibration.images)
    made = {"format": record.format, "quantize": record.quantization, "golden": golden, "calibration": calibrated}
    made |= {"input-range": record.input_range, "rounding": record.rounding or None}
    words = [f"--{name}={value}" for name, value in made.items() if value is not None] + ["--logits"] * record.logits
    models = [_model(row, record) for row in rows if row.sha256 == record.sha256]
    nothing = {"name": record.name, "outcome": UNKNOWN, "reasons": ["it was not verified"]}
    known = {name: getattr(record, name) for name in ("name", "sha256", "model_sha256", "calibration", "versions")}
    return {**known, "command": shlex.join(["edgemnist", "export", *words]), "models": models or [nothing]}


def _model(row: ArtifactParity, record: Artifact) -> Document:
    claim = {"name": f"{split_name(row.name)[0]}@{row.runtime}", "outcome": row.verdict.outcome}
    if not row.passed or not row.verdict.passed:
        return {**claim, "reasons": row.reasons}
    # A file has its rule built in, or the reference is known to give the same answers under one.
    same = row.integer is not None and (row.integer.rescaling or ("single" if not row.integer.differing else None))
    figures = ("accuracy", "accuracy_interval", "flips" if row.values is None else "values")
    known = {name: getattr(row, name) for name in figures}
    return {**claim, **known, "rounding": record.rounding or same or None, "measured": row.verdict.rests_on}


def _pae(payload: bytes) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _envelope(payload: bytes, signatures: Sequence[bytes]) -> bytes:
    encoded, *signed = (base64.b64encode(one).decode() for one in (payload, *signatures))
    by = [{"keyid": "", "sig": one} for one in signed]
    return json.dumps({"payloadType": PAYLOAD_TYPE, "payload": encoded, "signatures": by}).encode()


def seal(claimed: Document, key: Path | None) -> bytes:
    """Return the file of a statement, signed with an SSH key, or by nobody. Raises what `sign` raises."""
    payload = json.dumps(claimed).encode()
    return _envelope(payload, [] if key is None else [sign(_pae(payload), key)])


def unseal(data: bytes, signers: Path | None) -> Document:
    """Return the statement in a file, which `signers`, if any, must have signed.

    Raises BundleError where they have not, and for anything that `seal` does not write.
    """
    try:
        document = json.loads(data)
        payload = base64.b64decode(document["payload"])
        signatures = [base64.b64decode(one["sig"]) for one in document["signatures"]]
        claimed: Document = json.loads(payload)
        written = _envelope(payload, signatures), json.dumps(claimed).encode()
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BundleError(f"{STATEMENT_FILE} is not a statement of edgemnist: {error}") from error
    if written != (data, payload):
        raise BundleError(f"{STATEMENT_FILE} is not as edgemnist writes it")
    for signature in (signatures or [b""]) if signers is not None else []:
        verify(_pae(payload), signature or None, signers or Path())
    return claimed


def verify_bundle(
    path: Path,
    signers: Path | None,
    models: Callable[[Exports], VerifyResult],
    again: Callable[[Exports], dict[str, Problem]] = lambda _: {},
) -> VerifyResult:
    """Verify a bundle by `models`, and each of its claims by its files and the answers that they give here.

    Nothing passes unless one of `signers`, a file as `ssh-keygen` takes it, has signed it. `again` is `rebuilt`. Raises
    BundleError for a bundle that is damaged or not theirs, and what `models` and `again` raise.
    """
    with Archive(path) as archive, tempfile.TemporaryDirectory(prefix="edgemnist-bundle-") as place:
        record, signature, signer, claimed = read_record(archive), read_signature(archive), "", Document()
        if signers is not None and signature is not None:
            signer = verify(read_raw_record(archive), signature, signers)
        if STATEMENT_FILE in archive.names():
            claimed = unseal(archive.read(STATEMENT_FILE), signers if signer else None)
        for file in record.files:
            if file.path.startswith(EXPORTS):
                (target := Path(place) / file.path).parent.mkdir(exist_ok=True)
                target.write_bytes(archive.read(file.path))
        exports = Exports.open(Path(place) / EXPORTS)
        # The limits that hold are those in the bundle, whatever lies where the command is run.
        with contextlib.chdir(place):
            result = models(exports)
        try:
            known = list(_differing(claimed, exports, result)) if claimed else [(NOT_RUN, "it makes no claims")]
        except (LookupError, TypeError, AttributeError) as error:
            raise BundleError(f"{STATEMENT_FILE} is not a statement of edgemnist: {error}") from error
        made = again(exports)
    if not signer:
        why = "it is not signed" if signers else "nobody says whose signature counts, with --signers FILE"
        known.append((NOT_RUN, f"{why}: anybody may have made its claims"))
    known += [(status, f"{name} made again {how}") for name, (status, how) in made.items() if status]
    unusable = [*result.unusable, *(Unusable(name=path.name, status=status, reason=reason) for status, reason in known)]
    verdict, rebuilt = verdict_on(result.artifacts, unusable), {name: how for name, (_, how) in made.items()}
    shown = {"unusable": unusable, "statement": claimed, "signed_by": signer or None, "rebuilt": rebuilt}
    return msgspec.structs.replace(result, verdict=verdict, passed=verdict.passed, **shown)


def _differing(claimed: Document, exports: Exports, result: VerifyResult) -> Iterator[Problem]:
    """Yield each claim that the files, and what they answer here, do not bear out."""
    found = statement(exports, exports.manifest.artifacts, RUNTIMES, result)
    for there, here in zip(claimed["predicate"]["artifacts"], found["predicate"]["artifacts"], strict=False):
        # Runtimes that nobody claimed anything of need no claim.
        answered, here["models"] = {one["name"]: one for one in here["models"]}, []
        for one in there["models"] or [{"name": there["name"], "outcome": UNKNOWN}]:
            known = one["outcome"] == PASSED and one["name"] in answered
            here["models"].append(answered[one["name"]] if known else one)
            why = "" if known else "; ".join(one.get("reasons", ["it cannot run here"]))
            yield from [] if known else [(NOT_RUN, f"nothing is known of {one['name']}: {why}")]
    said, seen = (dict(_fields(one)) for one in (claimed, found))
    for name in {**said, **seen}:
        if said.get(name) != seen.get(name) and not _UNSEEN.match(name):
            yield ALTERED, f"it claims {name} {said.get(name)}, and its files say {seen.get(name)}"


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items:
        yield path, json.dumps(value)
    for name, one in items:
        yield from _fields(one, f"{path}.{name}" if path else str(name))


def rebuilt(bundled: Exports, model: Path, words: Sequence[str]) -> dict[str, Problem]:
    """Make artifacts and golden pack again from a model, by `edgemnist export` with some more words.

    Returns for each what speaks against it, and that it is equal or what differs. Raises UsageError for another model.
    """
    # By the commands that its manifest implies: those in its statement are anybody's.
    whole, found = statement(bundled, bundled.manifest.artifacts, ())["predicate"], dict[str, Problem]()
    if whole["source"]["sha256"] != file_sha256(model):
        raise UsageError(f"{model} is not the model that the bundle was made from", hint="Name its --exports DIR.")
    if not any(word.startswith("--data") for word in words) and (data := source_of_training(model.parent)):
        words = [*words, f"--data={data}"]
    for old, one in zip(bundled.manifest.artifacts, whole["artifacts"], strict=True):
        with tempfile.TemporaryDirectory(prefix="edgemnist-rebuilt-") as place:
            command = [sys.executable, "-m", *shlex.split(one["command"]), f"--model={model}", f"--exports={place}"]
            done = subprocess.run([*command, *words], check=False, capture_output=True, text=True)  # noqa: S603 - our own
            if done.returncode:
                why = done.stderr.rpartition("error: ")[2].split()
                found[old.name] = NOT_RUN, f"fails: {' '.join(why).rstrip('.')}"
                continue
            made = Exports.open(place)
            if made.read_golden().data.sha256 != (of := bundled.read_golden().data).sha256:
                raise UsageError(f"The bundle was made with other data: {of.source}", hint="Name it with --data PATH.")
            found[old.name] = _compared(bundled, old, made, made.manifest.artifact(old.name))
            if (golden := bundled.manifest.golden) and made.manifest.golden:
                found["golden pack"] = _compared(bundled, golden, made, made.manifest.golden)
    return found


def _compared(bundled: Exports, old: FileRecord, made: Exports, new: FileRecord) -> Problem:
    if new.sha256 == old.sha256:
        return "", "is equal"
    there, here = ((one.directory / record.file).read_bytes() for one, record in ((bundled, old), (made, new)))
    other = [index for index, (one, two) in enumerate(zip(there, here, strict=False)) if one != two]
    how = f"has {len(other):,} other bytes of {len(here):,}, the first at {other[0] if other else len(there):,}"
    was, now = (getattr(record, "versions", {}) for record in (old, new))
    versions = ((name, was.get(name), now.get(name)) for name in {**was, **now})
    by = [f"{name} {after} instead of {before}" for name, before, after in versions if after != before]
    # How the golden pack is compressed depends on a version that nobody recorded.
    return NOT_RUN if by or not was else ALTERED, ", with ".join([how, *by])
