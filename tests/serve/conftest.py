"""One service for all tests that only ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemnist.model.exports import reference_directory
from tests.conftest import REPOSITORY
from tests.serve.service import Service, png, serving, seven
from tests.vision import digits

__all__ = ["digits", "drawing", "page", "service"]


@pytest.fixture(scope="session")
def service(made_exports: Path) -> Iterator[Service]:
    """A service with eight artifacts and no limit to the rate of requests."""
    with serving(made_exports, "--rate", "0") as running:
        yield running


@pytest.fixture(scope="session")
def drawing() -> bytes:
    """A drawn 7, as a PNG."""
    return png(seven())


@pytest.fixture(scope="session")
def page() -> bytes:
    """A photographed page with digits."""
    return (REPOSITORY / "tests" / "read" / "pages" / "everything.jpg").read_bytes()


@pytest.fixture(scope="session")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    place = tmp_path_factory.mktemp("samples")
    with serving(reference_directory(), "--rate", "0", "--collect", str(place), "--collect-max", "5000") as running:
        yield running
