"""What counts as a line of what, and when there are too many."""

import subprocess
from collections import Counter
from pathlib import Path

from tools.size import excess, table

SOURCE = '''"""A module,
of two lines."""

# A comment.
NUMBER = 1
"""Of one line."""
TEXT = """
# This is no comment."""


def function() -> int:
    """Return it."""
    return NUMBER
'''


def test_lines_are_counted_by_part_and_since_a_commit(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x", *words], check=True)

    for name, text in {
        "edgemnist/door/hinge/pin.py": SOURCE,
        "edgemnist/door/oil.c": "int x;\nint y;\n",
        "edgemnist/lock.py": "x = 1\n",
        "tests/door/test_door.py": "1\n",
        "tests/hinge/test_pin.py": "2\n",
        "tests/conftest.py": "3\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Begin")
    (tmp_path / "edgemnist/lock.py").write_text("# A lock.\nx = 1\ny = 2\n")
    (tmp_path / "tests/conftest.py").unlink()
    assert table(tmp_path, "HEAD") == {
        "door": Counter(code=5, docstrings=4, comments=4, C=2, tests=2),
        "lock": Counter(code=2, comments=1, added=2),
        "(other)": Counter(added=-1),
    }


def test_more_lines_than_allowed_are_said() -> None:
    total = Counter(code=6, docstrings=3, comments=1, C=9, tests=5)
    assert excess(total, {"package": 10, "tests": 5}) == []
    assert excess(total, {"package": 9, "tests": 5}) == [
        "package: 10 lines of Python, and at most 9 are allowed (pyproject.toml)."
    ]
