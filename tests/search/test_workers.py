"""Workers that cannot start or do not fit are a sentence, whatever Ray raises."""

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest

from edgemnist.errors import UsageError
from edgemnist.pipeline.search.workers import RayWorkers, Workers, check_alike, parse_workers, versions


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What is added to when Ray is left: one that cannot start."""
    ended: list[bool] = []

    def init(**_: object) -> None:
        # What Ray says where its processes may not have enough memory.
        raise TimeoutError(
            "\nThe current node timed out during startup. This could happen because some of the raylet failed."
        )

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: ended.append(True)))
    return ended


@pytest.mark.parametrize(
    ("where", "said", "hint"),
    [
        ("2", "Ray cannot start 2 workers on this machine", "Leave out --workers"),
        ("auto", "The Ray cluster auto", "ray start"),
    ],
)
def test_ray_that_cannot_start_is_a_sentence(where: str, said: str, hint: str, ended: list[bool]) -> None:
    with pytest.raises(UsageError, match=f"^{said}.*: The current node timed out") as failure:
        RayWorkers(where)
    assert hint in failure.value.hint
    assert ended


@pytest.mark.parametrize("where", ["ray://127.0.0.1:9", "ray://nowhere.invalid", "ray://127.0.0.1:many", "auto"])
def test_a_missing_cluster_is_a_sentence(where: str, ended: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UsageError, match=r"The Ray cluster \S+ cannot be reached"):
        RayWorkers(where)
    assert not ended


@pytest.mark.parametrize("text", ["127.0.0.1:6379", "0", "-2", ""])
def test_what_names_no_workers_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--workers must be"):
        parse_workers(text)
    assert type(parse_workers("1")) is Workers


@pytest.mark.parametrize("name", ["edgemnist", "tensorflow"])
def test_a_machine_with_another_version_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, installed = versions(), importlib.metadata.version
    check_alike(ours)
    monkeypatch.setattr(importlib.metadata, "version", lambda one: "0.0.1" if one == name else installed(one))
    with pytest.raises(UsageError, match=rf"has {name} 0\.0\.1, but this machine has {ours[name]}") as failure:
        check_alike(ours)
    assert "pip install" in failure.value.hint


def test_a_package_of_another_name_is_one_without_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert versions() == {"edgemnist": "none", "tensorflow": "none"}
