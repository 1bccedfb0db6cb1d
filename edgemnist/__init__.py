"""Take a digit classifier from Keras to a Raspberry Pi, quantized, and prove that nothing was lost.

import edgemnist
classifier = edgemnist.load("exports/tflite-int8.tflite")
classifier.predict(images)          # uint8 [N, 28, 28] → int64 [N]
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edgemnist.runtimes import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Late, as `typing` would be early: Ctrl-C has no answer before `__main__` has been reached.
        if name == "load":
            from edgemnist.runtimes import load

            return load
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
