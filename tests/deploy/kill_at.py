"""Runs the board's program to be killed at its N-th step, see `tests.killing`: python -I kill_at.py PROGRAM.pyz.

Every line of stdin also has its "command" and its "request".
"""

import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    program = sys.argv[1]
    sys.path.insert(0, program)
    # All but `__main__`, which runs when it is imported.
    import urllib.request

    import edgemnist.board.agent.apply
    import edgemnist.board.agent.facts

    del urllib, edgemnist
    # Last, so that the program is not taken from there.
    sys.path.append(str(Path(__file__).parents[2]))
    from tests.killing import serve

    def run(asked: dict[str, Any]) -> None:
        sys.argv = [program, asked["command"], asked["root"]]
        sys.stdin = io.StringIO(json.dumps(asked["request"]))
        runpy.run_path(program, run_name="__main__")

    serve(run)


main()
