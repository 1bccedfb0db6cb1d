"""make fuzz: broken input for every parser, each in a process with limits, and a table of the worst at the end.

    python -m tests.fuzz [--count N] [--seed N] [--only PARSER]...

Fails, and says which input with which seed, where a parser raises anything but a sentence, takes more than 2 seconds of
the processor or 300 MB of memory, or ends its process.
"""

import argparse
import sys

from tests.fuzz.parsers import PARSERS
from tests.fuzz.run import fuzz


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=100_000, help="inputs in all (100,000)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", action="append", help="one parser; repeatable")
    given = options.parse_args()
    total, inputs, faults = sum(parser.count for parser in PARSERS.values()), 0, 0
    for name in given.only or PARSERS:
        tally = fuzz(name, given.seed, max(1, -(-PARSERS[name].count * given.count // total)))
        sys.stdout.write(
            f"{name:26} {tally.inputs:7,} inputs  {tally.refused:7,} refused  slowest {tally.slowest_s:6.3f} s  "
            f"most memory {tally.most_bytes / 1e6:4.0f} MB  {len(tally.faults)} faults\n"
        )
        sys.stdout.writelines(f"    {fault}\n" for fault in tally.faults[:5])
        sys.stdout.flush()
        inputs, faults = inputs + tally.inputs, faults + len(tally.faults)
    sys.stdout.write(f"{inputs:,} inputs, {faults} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
