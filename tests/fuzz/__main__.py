"""make fuzz: broken input for every parser, each in a process with limits, and a table of the worst at the end.

    python -m tests.fuzz [--count N] [--seed N] [--only PARSER]... [--json FILE]

Fails, and says which input with which seed, where a parser raises anything but a sentence, takes more than 2 seconds of
the processor or 300 MB of memory, or ends its process.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.fuzz.parsers import PARSERS
from tests.fuzz.requests import REQUESTS, fuzz_service
from tests.fuzz.run import Tally, fuzz

ALL: Final = 100_000


def main() -> int:
    """Fuzz, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=ALL, help="inputs in all (100,000)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", action="append", help="one parser; repeatable")
    options.add_argument("--json", type=Path, help="write the table here")
    given = options.parse_args()
    shares = {name: parser.count for name, parser in PARSERS.items()} | {"HTTP": REQUESTS}
    total, tallies = sum(shares.values()), {}
    for name, share in shares.items():
        if given.only and name not in given.only:
            continue
        count = max(1, -(-share * given.count // total))
        tally = fuzz_service(given.seed, count, Tally()) if name == "HTTP" else fuzz(name, given.seed, count)
        tallies[name] = tally
        sys.stdout.write(
            f"{name:26} {tally.inputs:7,} inputs  {tally.refused:7,} refused  slowest {tally.slowest_s:6.3f} s  "
            f"most memory {tally.most_bytes / 1e6:4.0f} MB  {len(tally.faults)} faults\n"
        )
        for fault in tally.faults[:5]:
            sys.stdout.write(f"    {fault}\n")
        sys.stdout.flush()
    faults = sum(len(tally.faults) for tally in tallies.values())
    sys.stdout.write(f"{sum(tally.inputs for tally in tallies.values()):,} inputs, {faults} faults\n")
    if given.json:
        given.json.write_text(json.dumps({name: asdict(tally) for name, tally in tallies.items()}, indent=1) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
