"""How large the repository is, by part: python -m tools.size [BASE].

A part is an entry of `edgemnist/`, with the tests in the folders of its name and of the names of its folders. With
BASE, a commit, the table has the lines added since then, less those removed. Fails above the numbers of
`[tool.edgemnist.size]` in `pyproject.toml`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLUMNS = ("code", "docstrings", "comments", "C", "tests", "added")
"""Lines of Python in the package, of C in it, of Python in the tests, and of all. Blank lines count as comments."""
OTHER = "(other)"
"""Tests of nothing in particular, and files that are gone."""


def measure(source: str) -> Counter[str]:
    """Return the lines of a Python file: of code, of docstrings, and of comments and nothing."""
    documented, quoted = set[int](), set[int]()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=int(first), end_lineno=int(last)):
                documented.update(range(first, last + 1))
            case ast.Constant(value=str()) | ast.JoinedStr():
                quoted.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    hidden = documented | quoted
    lines = [(number, line.strip()) for number, line in enumerate(source.splitlines(), 1)]
    bare = sum(number not in hidden and line[:1] in {"", "#"} for number, line in lines)
    return Counter(code=len(lines) - len(documented) - bare, docstrings=len(documented), comments=bare)


def table(root: Path, base: str = "") -> dict[str, Counter[str]]:
    """Return the lines of each part in a working tree, by the names of `COLUMNS`."""
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    package = root / "edgemnist"
    wings = {path.stem: path.relative_to(package).parts[0].removesuffix(".py") for path in package.glob("*/*/")}
    wings |= {path.stem: path.stem for path in package.iterdir()}

    def counts(name: str) -> Counter[str]:
        """Return the part of a file, by its path in the repository."""
        return parts[wings.get(Path(name).parts[1].removesuffix(".py"), OTHER)]

    for path in [*package.rglob("*"), *(root / "tests").rglob("*.py")]:
        name = path.relative_to(root).as_posix()
        if name.startswith("tests/"):
            counts(name)["tests"] += len(path.read_bytes().splitlines())
        elif path.suffix == ".py":
            counts(name).update(measure(path.read_text(encoding="utf-8")))
        elif path.suffix in {".c", ".h"}:
            counts(name)["C"] += len(path.read_bytes().splitlines())
    if base:
        command = ["git", "-C", str(root), "diff", "--numstat", "--no-renames", base, "--", "edgemnist", "tests"]
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
            added, removed, name = line.split("\t")
            if name.endswith((".py", ".c", ".h")):
                counts(name)["added"] += int(added) - int(removed)
    return dict(parts)


def excess(total: Counter[str], limits: dict[str, int]) -> list[str]:
    """Return a sentence for each limit, `package` or `tests`, that the lines of all parts exceed."""
    found = {"package": total["code"] + total["docstrings"] + total["comments"], "tests": total["tests"]}
    return [
        f"{name}: {found[name]:,} lines of Python, and at most {limit:,} are allowed (pyproject.toml)."
        for name, limit in limits.items()
        if found[name] > limit
    ]


def main() -> int:
    """Print the table, and return the exit code."""
    parts = table(ROOT, *sys.argv[1:2])
    total = sum(parts.values(), Counter[str]())
    total["added"] = sum(counts["added"] for counts in parts.values())
    print(f"{'part':24}" + "".join(f"{name:>12}" for name in COLUMNS))
    for name, counts in [*sorted(parts.items()), ("all", total)]:
        if any(counts.values()):
            print(f"{name:24}" + "".join(f"{counts[column]:12,}" for column in COLUMNS))
    limits = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["edgemnist"]["size"]
    wrong = excess(total, limits)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
