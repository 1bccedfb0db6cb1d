"""Compiles the engine's shared library where it belongs: `python -m edgemnist.model.native`."""

import sys

from edgemnist.model.native import main

sys.exit(main())
