"""A line that is cut: forwards to a port of this machine until so many bytes have gone through."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType

_CHUNK = 4096


class CuttingProxy:
    """Forwards connections; the first one that passes `cut_after` bytes is cut, later ones are not.

    A silent cut forwards nothing more and tells neither side, as a cable that is pulled.
    """

    def __init__(self, port: int, cut_after: int | None = None, *, silent: bool = False) -> None:
        self._target = port
        self._cut_after = cut_after
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.bytes = 0
        self.cuts = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []

    def __enter__(self) -> CuttingProxy:  # noqa: PYI034 - nobody derives from it
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        selector = selectors.DefaultSelector()
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        with contextlib.suppress(OSError, ValueError):
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]  # a socket, as registered
                    if not data or self._is_cut(len(data)):
                        if data and self._silent:
                            return
                        client.close()
                        server.close()
                        return
                    key.data.sendall(data)

    def _is_cut(self, count: int) -> bool:
        with self._lock:
            self.bytes += count
            if self._cut_after is not None and self.cuts == 0 and self.bytes > self._cut_after:
                self.cuts = 1
                return True
            return False
