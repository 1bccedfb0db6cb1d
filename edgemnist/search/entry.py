"""What a search needs, known without importing it."""

from __future__ import annotations

from typing import Final

from edgemnist.registry import Entry, Package

SEARCH: Final = Entry(
    target="edgemnist.search.run:search",
    summary="A search",
    requires=(
        Package("optuna", "optuna"),
        Package("tensorflow", "tensorflow"),
        Package("keras", "keras"),
        Package("matplotlib", "matplotlib"),
    ),
    extra="train",
)
CLUSTER: Final = Entry(
    target="edgemnist.search.cluster:RayWorkers",
    summary="--workers",
    requires=(Package("ray", "ray"),),
    extra="train,cluster",
)
