"""Pictures as users have them, turned into what the models take: 28×28 pixels, white digit on black.

`decode` reads files, `grey` and `paper` leave only the ink, `find` picks the digit, `mnist` frames it as MNIST did;
`normalize` is all of that in a row. Pillow and NumPy are enough for it.
"""

from edgemnist.images.decode import open_image
from edgemnist.images.normalize import normalize_digit, prepare, read_digit

__all__ = ["normalize_digit", "open_image", "prepare", "read_digit"]
