"""What is exhaustive: a test has a part of each kind of it, and `make test-nightly` the rest."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def swept(cases: Iterable[Any], *, kept: Collection[Any]) -> list[Any]:
    """Return the cases of a test, with those that are not `kept` left to `make test-nightly`."""
    given = list(cases)
    assert all(one in given for one in kept), "what is kept is a case"
    return [case if case in kept else pytest.param(case, marks=pytest.mark.nightly) for case in given]
