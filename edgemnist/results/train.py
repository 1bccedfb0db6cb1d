"""What `edgemnist train` prints and saves."""

from __future__ import annotations

import msgspec

from edgemnist.results.base import Part, Result
from edgemnist.results.data import DataIdentity


class Epoch(Part, frozen=True, kw_only=True):
    """One epoch of a training."""

    epoch: int
    """From 1."""
    loss: float
    accuracy: float
    """On the (augmented) training images, while training."""
    test_accuracy: float | None = None
    """On the evaluation images, where the recipe asks for it."""
    learning_rate: float
    seconds: float


class TrainResult(Result, frozen=True, kw_only=True):
    """`edgemnist train`, and the contents of `training.json`."""

    recipe: str
    hidden: list[int]
    """Units of each hidden layer; of a CNN those of its dense layers."""
    parameters: int
    epochs: int
    """Epochs that were run; fewer than asked for if `interrupted`."""
    batch_size: int
    seed: int
    interrupted: bool = False
    data: DataIdentity
    labels: list[str]
    train_accuracy: float
    test_accuracy: float
    fit_seconds: float
    """The training loop alone, including compilation but not imports and data loading."""
    history: list[Epoch]
    model: str
    """File name of the Keras model."""
    sha256: str
    """Hash of the Keras model file."""
    weights_sha256: str
    """Hash of the weights alone: the same seed on the same machine gives the same."""
    pictures: dict[str, str]
    """PNG files, by the name of what they show, such as `curves`."""
    versions: dict[str, str]
    planned_epochs: int | None = None
    """Epochs that were asked for, by an option or the recipe; None in a file that an earlier edgemnist wrote."""
    teacher: str | None = None
    """File name of the teacher, where the recipe has one."""
    teacher_seed: int | None = None
    """None without a teacher, and in a file that an earlier edgemnist wrote."""
    robustness: dict[str, float] = msgspec.field(default_factory=dict)
    """Accuracy on the test images under conditions that boards see, by their name; empty where the recipe does not
    train for them."""
    recipe_version: str | None = None
    """Version of the recipe, which keeps its name when it changes; None in a file from before it was recorded."""
    temperature: float | None = None
    """Number by which the logits were divided at the end, so that confidences mean what they say; None where the recipe
    leaves the logits as they are."""
    network: str | None = None
    """Family, side, layers and bits, as `--network` takes them; None in a file that an earlier edgemnist wrote."""

    @property
    def short_network(self) -> str:
        """The short name of the network: 784-512-10, or what `network` says."""
        layers = "-".join(map(str, self.hidden))
        if self.network in {None, f"mlp:28:{layers}:8bit"}:
            return "-".join(map(str, (784, *self.hidden, len(self.labels))))
        return str(self.network)
