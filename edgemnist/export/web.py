"""One web page with the network and the engine that executes it, for anything that has a browser."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from edgemnist.export.c import IMAGE, NetworkExporter, score_tensor
from edgemnist.export.interface import Exported
from edgemnist.export.webpage import web_page
from edgemnist.native.amalgamation import Origin
from edgemnist.native.browser import BrowserClassifier, find_browser
from edgemnist.native.network import Network
from edgemnist.native.webassembly import describe_page


class WebExporter(NetworkExporter):
    """Writes the network as a page."""

    format: ClassVar[str] = "web"

    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the page for a network."""
        return web_page(network, origin, f"{self.format}-int8").encode()

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Open a page if there is a browser; see `Exporter.inspect`."""
        described = describe_page(data)
        if described is None:
            raise self._not_as_asked(quantization, "it is not a page that edgemnist wrote")
        if find_browser() is not None:
            with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
                path = Path(directory) / "digit.html"
                path.write_bytes(data)
                BrowserClassifier.load(path, labels=self.labels)
        return Exported(
            data=data,
            input=IMAGE,
            output=score_tensor(len(described.labels), described.scale, described.zero_point),
        )
