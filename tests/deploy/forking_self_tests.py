"""Forks self-tests of releases: PYTHON -I forking_self_tests.py PLACE, until its standard input closes.

PYTHON is that of an environment which a deployment has installed, so what tests is what lies there; only the import,
half of what a self-test takes, was done before. `tests/calling.py` is how it is called.
"""

import contextlib
import gc
import importlib
import pkgutil
import runpy
import sys
from pathlib import Path

WORDS = ["-I", "-m", "edgemnist.selftest"]
"""What Python is started with for a self-test."""


def main() -> None:
    import edgemnist.bench.run
    import edgemnist.exports
    import edgemnist.runtimes
    import edgemnist.verify.run

    for module in pkgutil.iter_modules(edgemnist.runtimes.__path__, "edgemnist.runtimes."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
    with contextlib.suppress(ImportError):
        import ai_edge_litert.interpreter  # noqa: F401 - that is what takes long
    # Last, so that the package is not taken from there.
    sys.path.append(str(Path(__file__).parents[2]))
    from tests.forking import exit_at_once, serve, take_over

    gc.freeze()
    started_with = list(sys.path)
    take_over(*serve(sys.argv[1]))
    sys.path[:] = started_with[:-1]
    sys.argv = [WORDS[-1], *sys.argv[2 + len(WORDS) :]]
    try:
        runpy.run_module(WORDS[-1], run_name="__main__")
    except SystemExit as ended:
        exit_at_once(ended.code)
        raise


main()
