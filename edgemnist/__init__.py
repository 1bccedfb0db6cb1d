"""Take a digit classifier from Keras to a Raspberry Pi, quantized, and prove that nothing was lost.

import edgemnist
classifier = edgemnist.Exports.open("exports").load("tflite-int8")    # only if its hash is the recorded one
classifier = edgemnist.load("mine.onnx", runtime="openvino")          # any model file
classifier.predict(images)                                            # uint8 [N, 28, 28] → int64 [N]
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edgemnist.exports.directory import Exports
    from edgemnist.runtimes import load

__version__ = "0.1.0"
__all__ = ["Exports", "__version__", "load"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Late, as `typing` would be early: Ctrl-C has no answer before `__main__` has been reached.
        if name == "load":
            from edgemnist.runtimes import load

            return load
        if name == "Exports":
            from edgemnist.exports.directory import Exports

            return Exports
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
