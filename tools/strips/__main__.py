"""`python -m tools.strips`: its options, and what it prints."""

import sys

from tools.command import options_of, run
from tools.strips.make import make

if __name__ == "__main__":
    parser = options_of("strips", "Train the network that reads strips.")
    sys.exit(run(parser, lambda dataset, out, reporter, _: make(dataset, out, reporter).to_json()))
