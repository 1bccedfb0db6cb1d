"""`python -m tools.context`: its options, and what it prints."""

import sys

from tools.command import options_of, run
from tools.context.make import make

if __name__ == "__main__":
    parser = options_of("context", "Train the network that judges a digit by what is around it.")
    sys.exit(run(parser, lambda dataset, out, reporter, _: make(dataset, out, reporter=reporter).to_json()))
