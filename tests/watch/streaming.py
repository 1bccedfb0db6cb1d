"""A camera in the network: an HTTP server that sends JPEGs, goes away, hangs and comes back as it is told."""

import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt


class Camera:
    """Serves `frame` as MJPEG at 30 a second for as long as the context is open; may be opened again."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.frame: npt.NDArray[np.uint8] = np.zeros((480, 640, 3), np.uint8)
        self.hanging = False
        self.connections = self.shown = 0
        self._closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream"

    def __enter__(self) -> Self:
        camera = self
        self._closing = closing = Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not closing.is_set():
                        if not camera.hanging:
                            jpeg = cv2.imencode(".jpg", camera.frame)[1].tobytes()
                            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                            self.wfile.write(head.encode() + jpeg + b"\r\n")
                            camera.shown += 1
                        time.sleep(1 / 30)
                except OSError:
                    return

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
