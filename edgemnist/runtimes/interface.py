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
    reads them from the model file itself. What no file tells is how the pixels were scaled when the model was trained:
    floating point and quantized inputs are taken to mean 0 to 1, unquantized integers to mean the pixels themselves.

    A classifier may be called from several threads.
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
        28×28 images to class scores, or where there are more or fewer labels than classes.
        """

    @abstractmethod
    def predict_proba(self, images: Images) -> Probabilities:
        """Return the class probabilities, float32 [N, C], of images, uint8 [N, 28, 28].

        The result is a new array. Each row adds up to 1, or to within a few steps of it where the model's output is
        quantized: it is handed on as the model gave it, without another normalization. Raises ValueError for another
        dtype or shape. N may be 0.
        """

    def predict(self, images: Images) -> Labels:
        """Return the most probable class, int64 [N], of images, uint8 [N, 28, 28]."""
        best: Labels = self.predict_proba(images).argmax(axis=1)
        return self.classes_.take(best)
