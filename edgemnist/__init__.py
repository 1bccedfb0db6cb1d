"""Take a small classifier from training to the edge, quantized, and prove that nothing was lost.

import edgemnist
exports = edgemnist.Exports.open("exports")                     # the artifacts, and what still holds for them
classifier = exports.load("tflite-int8")                        # only if its hash is the recorded one
classifier = edgemnist.load("mine.onnx", runtime="onnxruntime") # any model file
classifier.predict(edgemnist.prepare("digit.png"))              # any picture of one digit → int64 [1]
classifier.predict_names(edgemnist.prepare("digit.png"))        # its name → ["7"]
classifier.predict_proba(images)                                # uint8 [N, H, W], or 0 to 1 → float32 [N, C]

Inputs are an array or a list, of the model's own shape: one image [H, W], several [N, H, W] or [N, H, W, 1], or their
pixels [N, H·W]; in colour [N, H, W, 3]; numbers float32 [N, …].
Whole numbers are pixels of 0 to 255; fractions are shares of white, 0 to 1, unless one in the call is larger than 1.
What may be either, such as a mask of 0 and 1 that is not of bytes, is refused.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edgemnist.digits.images import prepare
    from edgemnist.model.exports import Exports
    from edgemnist.model.runtimes import load

__version__ = "0.1.0"
TASK_HOMES = ("edgemnist.digits.task",)
"""Modules that register a task, its preparers and its refusers, imported where the first task is looked up."""
__all__ = ["Exports", "__version__", "load", "prepare"]

if not TYPE_CHECKING:
    _HOMES = {
        "Exports": "edgemnist.model.exports",
        "load": "edgemnist.model.runtimes",
        "prepare": "edgemnist.digits.images",
    }

    def __getattr__(name: str) -> object:
        # Late, as `typing` would be early: Ctrl-C has no answer before `__main__` has been reached.
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)

    def __dir__() -> list[str]:
        return sorted({name for name in globals() if name.startswith("__")} | {*__all__})
