"""The camera module of a Raspberry Pi, by picamera2."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgemnist.images.grey import Grey

SIZE: Final = (640, 480)
"""Width and height of the frames: digits of a fortieth of the width are large enough to be read."""


class PicameraGrabber:
    """An open camera module."""

    def __init__(self) -> None:
        # Not typed, and only there on a Raspberry Pi.
        from picamera2 import Picamera2  # type: ignore[import-not-found]  # comes with Raspberry Pi OS, from no index

        self._camera: Any = Picamera2()
        # The first plane of YUV420 is the grey levels themselves: nothing has to be converted.
        self._camera.configure(self._camera.create_video_configuration(main={"size": SIZE, "format": "YUV420"}))
        self._camera.start()

    def read(self) -> Grey:
        """Return the latest frame; waits for it."""
        width, height = SIZE
        # Rows are padded to what the hardware likes.
        return np.ascontiguousarray(self._camera.capture_array("main")[:height, :width])

    def close(self) -> None:
        """Stop the camera, and let others use it."""
        self._camera.stop()
        self._camera.close()


def open_picamera() -> PicameraGrabber | None:
    """Open the camera module, or return None where there is none or another program has it."""
    try:
        return PicameraGrabber()
    except (IndexError, RuntimeError):
        # picamera2 finds no camera; libcamera cannot acquire it.
        return None
