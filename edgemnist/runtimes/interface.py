"""What every runtime offers: uint8 images in, float32 probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgemnist.arrays import Images, Labels, Probabilities


class Classifier(ABC):
    """A model that is ready to answer, after scikit-learn's classifiers.

    Scaling, quantization parameters, tensor names and batch resizing are the private business of each subclass, which
    reads them from the model file itself.
    """

    classes_: Labels
    """int64 [C]: 0 to C-1, the meaning of each column of `predict_proba`."""
    labels: tuple[str, ...]
    """The name of each class, such as `0` to `9`."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None) -> Classifier:
        """Read a model file.

        `threads` is how many the runtime may use for one call. `labels` names the classes; by default they are the
        ones stored in the file, or 0 to C-1.

        Raises ArtifactError where the file is missing, damaged, of another format than its name says, or does not map
        28×28 images to class scores.
        """

    @abstractmethod
    def predict_proba(self, images: Images) -> Probabilities:
        """Return the class probabilities, float32 [N, C], of images, uint8 [N, 28, 28].

        The result is a new array. Raises ValueError for another dtype or shape. N may be 0.
        """

    def predict(self, images: Images) -> Labels:
        """Return the most probable class, int64 [N], of images, uint8 [N, 28, 28]."""
        best: Labels = self.predict_proba(images).argmax(axis=1)
        return self.classes_.take(best)
