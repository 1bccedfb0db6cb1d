"""Compiles the engine's shared library where it belongs: `python -m edgemnist.native`."""

import sys

from edgemnist.native import main

sys.exit(main())
