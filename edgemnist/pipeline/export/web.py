"""A network and the engine as one web page, with the drawing area that `edgemnist serve` shows."""

import base64
import json
import re
from importlib import resources
from typing import ClassVar, Final

import msgspec

from edgemnist.model.native.amalgamation import Origin
from edgemnist.model.native.network import Network
from edgemnist.model.native.webassembly import ENGINE, About, describe_page, pack_network
from edgemnist.model.runtimes.integer import IntegerClassifier
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.model.task import code_of
from edgemnist.pipeline.export.c import NetworkExporter, tensors_of
from edgemnist.pipeline.export.interface import Exported

_SHARED: Final = ("edgemnist.ground.web", "page")
_OWN: Final = ("edgemnist.pipeline.export", "page")
_FIRST: Final = ((_SHARED, "answer.js"), (_OWN, "engine.js"))
_USUAL: Final = ((_SHARED, "inputs.js"), (_SHARED, "ask.js"), (_OWN, "model.js"))
"""Modules of a page in the order in which they need one another: they become one. A task may have others than these."""
_CHARSET: Final = '<meta charset="utf-8">'
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
)
"""The page requests nothing from anywhere, and cannot."""


class WebExporter(NetworkExporter):
    """Writes the network as a page."""

    format: ClassVar[str] = "web"

    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the page for a network."""
        self._tensors = tensors_of(network, origin.labels)
        twin = IntegerClassifier(read_graph(self._twin), self.source.path, spec=network.spec, numbers=not origin.labels)
        return web_page(network, origin, f"{self.format}-int8", ends_with=twin.ends_with).encode()

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Return what a page says of itself; see `Exporter.inspect`. `verify` opens it in a browser."""
        if describe_page(data) is None:
            raise self._not_as_asked(quantization, "it is not a page that edgemnist wrote")
        source, target = self._tensors
        return Exported(data=data, input=source, output=target, rounding=self.source.rounding)


def web_page(network: Network, origin: Origin, name: str, *, ends_with: str) -> str:
    """Return the page: the same text for the same network; `ends_with` is what its classifier says that it does."""
    about = About(
        version=origin.version,
        name=name,
        labels=list(origin.labels),
        scale=network.score_scale,
        zero_point=network.score_zero_point,
        logits=ends_with == "logits",
        sigmoids=ends_with == "sigmoids",
        model_sha256=origin.model_sha256,
        tflite_sha256=origin.tflite_sha256,
        inputs=network.inputs,
        outputs=network.classes,
        task=origin.task,
        step=network.held.scale or 1.0,
        zero=network.held.zero_point - network.held.lowest,
        away=network.real_input,
        rounding=network.rounding,
    )
    # An ending of the element within it would end it.
    told = json.dumps(msgspec.to_builtins(about)).replace("<", "\\u003c")
    code = code_of(origin.task)
    modules = [_read(*one) for one in (_FIRST if code else _FIRST + _USUAL)]
    scripts = "\n".join(map(_module, modules + ([code.read(one) for one in code.scripts] if code else [])))
    style = "".join(_read(_SHARED, name) for name in ("style.css", *([] if code else ["ask.css"])))
    icon = _base64(_read(_SHARED, "icon.svg").encode())
    carried = "\n".join(
        [
            f'<script type="application/json" id="carried-about">{told}</script>',
            _carried("carried-engine", ENGINE.read_bytes()),
            _carried("carried-model", pack_network(network)),
            f'<script type="module">\n{scripts}</script>',
        ]
    )
    page = re.sub(r"<!-- service -->.*?<!-- /service -->\n?", "", _read(_SHARED, "index.html"), flags=re.DOTALL)
    replaced = {
        _CHARSET: f'{_CHARSET}\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<link rel="stylesheet" href="ask.css">\n': "",
        '<link rel="stylesheet" href="style.css">': f"<style>\n{style}</style>",
        '"icon.svg"': f'"data:image/svg+xml;base64,{icon}"',
        "</body>": f"{carried}\n</body>",
    }
    for old, new in replaced.items():
        page = page.replace(old, new)
    return page


def _module(text: str) -> str:
    """Return a module as part of a larger one, which has what it exports: its imports come before it."""
    text = re.sub(r"^import .*;\n", "", text, flags=re.MULTILINE)
    exports = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+))", re.MULTILINE)
    names = ", ".join(exports.findall(text))
    return f"const {{ {names} }} = (() => {{\n{exports.sub('', text)}return {{ {names} }};\n}})();\n"


def _carried(name: str, data: bytes) -> str:
    return f'<script type="application/octet-stream;base64" id="{name}">{_base64(data)}</script>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read(where: tuple[str, str], file: str) -> str:
    package, folder = where
    return resources.files(package).joinpath(folder, file).read_text("utf-8")
