"""A network and the engine as one web page, with the drawing area that `edgemnist serve` shows."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import ClassVar, Final

from edgemnist.export.c import IMAGE, NetworkExporter, score_tensor
from edgemnist.export.interface import Exported
from edgemnist.native.amalgamation import Origin
from edgemnist.native.network import Network
from edgemnist.native.webassembly import (
    ENGINE,
    About,
    BrowserClassifier,
    describe_page,
    find_browser,
    pack_network,
    scores_scale,
)

_SHARED: Final = ("edgemnist.serve", "page")
_OWN: Final = ("edgemnist.export", "page")
_SCRIPTS: Final = ((_SHARED, "pad.js"), (_SHARED, "draw.js"), (_OWN, "engine.js"), (_OWN, "digit.js"))
"""Modules in the order in which they need one another: they become one."""
_CHARSET: Final = '<meta charset="utf-8">'
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
)
"""The page requests nothing from anywhere, and cannot."""


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


def web_page(network: Network, origin: Origin, name: str) -> str:
    """Return the page: the same text for the same network."""
    about = About(
        version=origin.version,
        name=name,
        labels=list(origin.labels),
        scale=float(scores_scale(network)),
        zero_point=network.score_zero_point,
        logits=not network.has_softmax,
        model_sha256=origin.model_sha256,
        tflite_sha256=origin.tflite_sha256,
    )
    # An ending of the element within it would end it.
    told = json.dumps(asdict(about)).replace("<", "\\u003c")
    scripts = "\n".join(_module(where, file) for where, file in _SCRIPTS)
    style, icon = _read(_SHARED, "style.css"), _base64(_read(_SHARED, "icon.svg").encode())
    carried = "\n".join(
        [
            f'<script type="application/json" id="carried-about">{told}</script>',
            _carried("carried-engine", ENGINE.read_bytes()),
            _carried("carried-model", pack_network(network)),
            f'<script type="module">\n{scripts}</script>',
        ]
    )
    page = re.sub(r"<!-- service -->\n.*?<!-- /service -->\n", "", _read(_SHARED, "index.html"), flags=re.DOTALL)
    page = re.sub(r"<!-- alone: (.*?) -->", r"\1", page)
    replaced = {
        _CHARSET: f'{_CHARSET}\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<link rel="stylesheet" href="style.css">': f"<style>\n{style}</style>",
        '"icon.svg"': f'"data:image/svg+xml;base64,{icon}"',
        "</body>": f"{carried}\n</body>",
    }
    for old, new in replaced.items():
        page = page.replace(old, new)
    return page


def _module(where: tuple[str, str], file: str) -> str:
    """Return a module as part of a larger one: its imports come before it."""
    text = re.sub(r"^import .*;\n", "", _read(where, file), flags=re.MULTILINE)
    return re.sub(r"^export (?=(async )?(class|function|const))", "", text, flags=re.MULTILINE)


def _carried(name: str, data: bytes) -> str:
    return f'<script type="application/octet-stream;base64" id="{name}">{_base64(data)}</script>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read(where: tuple[str, str], file: str) -> str:
    package, folder = where
    return resources.files(package).joinpath(folder, file).read_text("utf-8")
