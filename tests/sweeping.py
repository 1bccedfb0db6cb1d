"""What is exhaustive: a test has a part of each kind of it, and `make test-all` the rest."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def swept(cases: Iterable[Any], *, kept: Collection[Any]) -> list[Any]:
    """Return the cases of a test, with those that are not `kept` left to `make test-all`."""
    given = list(cases)
    assert all(one in given for one in kept), "what is kept is a case"
    return [case if case in kept else pytest.param(case, marks=pytest.mark.all) for case in given]
