"""What each worker needs, loaded once: in the process that they are forked from, whose memory they share."""

import contextlib
import gc
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from edgemnist.digits.images.fitting import fitter
from edgemnist.digits.read.likeness import shipped_network
from edgemnist.errors import EdgemnistError

PLUGINS: Final = ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff", "WebP")
"""Of Pillow, for the formats that are read. It would import them with the first body that is no PNG or JPEG, out of the
memory of that picture."""

for name in PLUGINS:
    import_module(f"PIL.{name}ImagePlugin")
# What the program's main module imports in each child, and how pages are read, where OpenCV is installed.
for module in ("edgemnist.app", "edgemnist.serve.worker", "edgemnist.serve.workers"):
    import_module(module)
if find_spec("cv2") is not None:
    import_module("edgemnist.digits.read.find")
# A damaged one is told by the job that needs it.
with contextlib.suppress(EdgemnistError):
    shipped_network()
fitter()
# Shared is what nobody writes to, and garbage collection writes to all that it looks at.
gc.collect()
gc.freeze()
