"""Take a digit classifier from Keras to a Raspberry Pi, quantized, and prove that nothing was lost.

import edgemnist
classifier = edgemnist.load("exports/tflite-int8.tflite")
classifier.predict(images)          # uint8 [N, 28, 28] → int64 [N]
"""

from edgemnist.runtimes import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]
