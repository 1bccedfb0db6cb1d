"""What boards make of 10,000 altered files of a channel: metadata, signatures and bundles.

    python -m benchmarks.deploy.altered        writes altered.json, in about ten minutes

Somebody has all files of a channel and all keys, and uses for each file only the keys that do not count there: those of
other roles, old ones, and one that nobody knows. A board that knows nothing, an older state or the newest one asks for
the file that was altered. The alteration is `accepted` if the board then installs other bytes than were published, or
keeps metadata that says anything else, and `withheld` if it sees nothing wrong, and no bundle. `same` is a file that
still says the same: JSON in another order, or with other spaces.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final
from unittest import mock

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import Metadata

from edgemnist.board.agent import Apply
from edgemnist.board.agent.store import Store
from edgemnist.fleet.channel import run as channel
from tests.channel.conftest import Site
from tests.deploy.loopback import copy_state
from tests.fuzz.mutations import broken, broken_json, change

RESULT: Final = Path(__file__).with_suffix(".json")
SEEDS, EACH = range(1, 6), 2_000
KINDS = {"broken": 35, "gone": 5, "swap": 5, "signatures": 15, "signed": 20, "keys": 10, "order": 10}
"""What is done to metadata, and how often, in percent. `broken` is what tests/fuzz does to files."""


class Thief:
    """Has the files of a channel and all its keys, and uses for each file those that do not count there."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.files = {path.relative_to(site.folder).as_posix(): path.read_bytes() for path in site.folder.rglob("*.*")}
        self.roots = [Metadata.from_bytes(self.files[f"{number}.root.json"]).signed for number in range(1, 5)]
        self.chance, self.stranger = chance, CryptoSigner.generate_ed25519()
        keys = {keyid[:12]: key for root in self.roots for keyid, key in root.keys.items()}
        pems = [(f"file2:{path}", keys[path.stem.partition("-")[2]]) for path in site.keys.glob("*.pem")]
        self.signers = [self.stranger, *(Signer.from_priv_key_uri(*pem) for pem in pems)]

    def altered(self, name: str) -> tuple[str, bytes | None]:
        """Return what was done to a file, and its bytes; None if it is gone."""
        chance, data, bundle = self.chance, self.files.get(name, b""), name.startswith("bundles")
        kind = chance.choices([*KINDS], [*KINDS.values()])[0]
        if bundle or not data:
            kind = chance.choice(["broken", "gone", "swap"] if data else ["swap", "signed", "keys"])
        match kind:
            case "broken":
                return kind, (broken if bundle else broken_json)(data, chance)
            case "gone":
                return kind, None
            case "swap":
                return kind, chance.choice([one for one in self.files.values() if one != data])
        document = json.loads(data or self.files["4.root.json"])
        if kind == "order":
            # Whoever is new knows the bytes of the first root, and of all other files what they say.
            kind = "order of the first root" if name == "1.root.json" else kind
            return kind, json.dumps(dict(reversed(document.items())), indent=chance.randrange(9)).encode()
        return kind, self._signed_otherwise(kind, name, **document)

    def _signed_otherwise(
        self, kind: str, name: str, signatures: list[dict[str, str]], signed: dict[str, Any]
    ) -> bytes:
        chance, last, role = self.chance, self.roots[-1], signed["_type"]
        if role == "root":
            signed["version"] = int(name.partition(".")[0])
            last = self.roots[max(signed["version"] - 2, 0)]
        if kind == "keys" and role == "root":
            signed["keys"][self.stranger.public_key.keyid] = self.stranger.public_key.to_dict()
            for one in chance.choice([list(signed["roles"]), ["root"]]):
                signed["roles"][one]["keyids"] = [self.stranger.public_key.keyid]
        elif kind != "signatures":
            change(signed, chance)
        payload = json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()
        wrong = [one for one in self.signers if one.public_key.keyid not in last.roles[role].keyids]
        lists = [[one.sign(payload).to_dict() for one in wrong]]
        lists += [[{**chance.choice(lists[0]), "keyid": last.roles[role].keyids[0]}] * 2, [], signatures]
        if kind == "signatures":
            lists[-1] = [{**signatures[0], "keyid": "0" * 64}]
        return json.dumps({"signatures": chance.choice(lists), "signed": signed}).encode()


def attack(site: Site, seed: int, alterations: int) -> dict[str, Counter[str]]:
    """Return how often each kind of alteration had which outcome, and tell those that should not be."""
    installed: list[Any] = []
    board, knows, asked = site.board(), {one: site.home / one for one in ("nothing", "older", "newest")}, {}
    known = board.root / "channel"

    def install(store: Store, sent: Apply, _: object) -> dict[str, Any]:
        installed.append((sent.identity, store.part(sent.sha256).read_bytes()))
        return {"status": "deployed", "release": "any", "previous": None, "removed": []}

    with mock.patch.object(channel, "apply", install):
        knows["nothing"].mkdir()
        site.publish("old")
        site.pull(board, report=None)
        copy_state(known, knows["older"])
        for key in channel.KEYS:
            site.publish(key=key)
        site.publish("new")
        for state, before in knows.items():
            site.asked.clear()
            copy_state(before, known)
            site.pull(board, report=None)
            asked[state] = [path[1:] for path in site.asked]
            copy_state(known, knows["newest"])
        published, thief = installed[-1], Thief(site, random.Random(seed))  # noqa: S311 - alterations
        signed = [*site.folder.glob("*.json"), *knows["older"].rglob("*.json")]
        good = {Metadata.from_file(str(path)).signed_bytes for path in signed}
        found: dict[str, Counter[str]] = defaultdict(Counter)
        while (number := sum(map(Counter.total, found.values()))) < alterations:
            state = thief.chance.choice([*knows])
            name = thief.chance.choice(asked[state])
            kind, data = thief.altered(name)
            if data == thief.files.get(name):
                continue
            copy_state(knows[state], known)
            installed.clear()
            path = site.folder / name
            path.unlink() if data is None else path.write_bytes(data)
            fault = site.pull(board, report=None).board.fault
            path.write_bytes(thief.files[name]) if name in thief.files else path.unlink()
            kept = {Metadata.from_file(str(one)).signed_bytes for one in known.rglob("*.json")}
            if not kept <= good or installed not in ([], [published]):
                outcome = "accepted"
            elif fault is None:
                outcome = "same" if installed or state == "newest" else "withheld"
            else:
                outcome = "refused" if " cannot be " in fault.message else "badly worded"
            found[kind][outcome] += 1
            if outcome not in {"refused", "same"}:
                sys.stderr.write(
                    f"{seed}/{number}: {kind} of {name}, by a board that knows {state}: {outcome}, {fault}\n"
                )
    return found


def main() -> None:
    """Alter, count, and write the table."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as home, Site(Path(home)) as site:
            for kind, outcomes in attack(site, seed, EACH).items():
                table[kind] += outcomes
            site.shutdown()
        tempfile.tempdir = None
        sys.stderr.write(f"{seed}: {sum(table.values(), Counter())}\n")
    RESULT.write_text(json.dumps({"alterations": len(SEEDS) * EACH, "outcomes": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
