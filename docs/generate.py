"""Fills the reference pages from the code: an MkDocs hook (see `mkdocs.yml`).

A page asks for a part with a comment, such as `<!-- generated: commands -->`, and the part takes its place.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import typer.core
import typer.main

import edgemnist
from edgemnist import errors
from edgemnist.app import app
from edgemnist.ground.results import Result
from edgemnist.model.formats import FORMATS
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.pipeline.verify.gate import BUDGET, LIMITS, GateTable, gate_toml

_REQUEST: Final = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_JSON_TYPES: Final[dict[object, str]] = {
    type(None): "null",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    Any: "any",
    msgspec.UnsetType: "left out",
}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page with the generated parts in their places. MkDocs calls this for each page."""
    return _REQUEST.sub(lambda request: PARTS[request[1]](), markdown)


def commands() -> str:
    """Return each command with its usage, arguments, options and examples."""
    return "\n\n".join(_command(name, command) for name, command in _named_commands().items())


def _named_commands() -> dict[str, Any]:
    """Return every command by its name, those of a group by both names."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    top = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {
        " ".join(filter(None, (name, inner))): command
        for name, one in top.items()
        for inner, command in getattr(one, "commands", {"": one}).items()
    }


def _command(name: str, command: Any) -> str:  # noqa: ANN401 - of click, or of Typer's copy of it
    usage = command.collect_usage_pieces(typer.Context(command, info_name=name))
    lines = [f"## `edgemnist {name}`", "", inspect.cleandoc(command.help or ""), ""]
    lines += ["```text", f"edgemnist {name} {' '.join(usage)}", "```", ""]
    panels: dict[str, list[list[str]]] = {}
    for parameter in command.params:
        panel = parameter.rich_help_panel or ("Options" if _is_option(parameter) else "Arguments")
        panels.setdefault(panel, []).append(_parameter(parameter))
    for panel, rows in panels.items():
        lines += [*_table([panel, "Meaning", "Default"], rows), ""]
    examples = (command.epilog or "").removeprefix("Example: ").split(" · ")
    if examples != [""]:
        lines += ["<!-- needs: example -->", "```console", *(f"$ {example}" for example in examples), "```"]
    return "\n".join(lines)


def _is_option(parameter: object) -> bool:
    return isinstance(parameter, typer.core.TyperOption)


def _parameter(parameter: Any) -> list[str]:  # noqa: ANN401 - as above
    names = " ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    value = parameter.metavar or parameter.type.name.upper()
    if not _is_option(parameter):
        names = f"`{(parameter.metavar or parameter.name.upper())}`"
    elif not parameter.is_flag:
        names += f" `{value}`"
    meaning = parameter.help or ""
    if parameter.envvar:
        meaning += f" Environment: `{parameter.envvar}`."
    if parameter.required:
        default = "required"
    elif isinstance(parameter.show_default, str):
        default = parameter.show_default
    else:
        default = "" if parameter.default is None or parameter.default is False else f"`{parameter.default}`"
    return [names, meaning, default]


def exit_codes() -> str:
    """Return the exit codes and what they mean."""
    meanings = {
        errors.EXIT_OK: "done",
        errors.EXIT_GATE_MISSED: "a gate was missed: the work was done, and the answer is no",
        errors.EXIT_BAD_INPUT: "wrong usage or input; the message says what is wrong, where, and what to do",
        errors.EXIT_MISSING_DEPENDENCY: "a dependency is missing; the message has the pip line",
        errors.EXIT_INTERRUPTED: "interrupted (Ctrl-C, SIGTERM or SIGHUP)",
    }
    return "\n".join(_table(["Exit code", "Meaning"], [[str(code), meaning] for code, meaning in meanings.items()]))


def artifacts() -> str:
    """Return every artifact that can be exported, with the runtimes that execute it."""
    rows = []
    for name, entry in FORMATS.items():
        for quantization in (*entry.quantizations, *entry.trained):
            artifact = f"{name}-{quantization}"
            # Not `runtimes_of`, whose order depends on what is installed where the book is built.
            executing = [
                runtime for runtime, one in RUNTIMES.items() if one.executes(artifact + entry.suffix, artifact)
            ]
            runtimes = sorted(executing, key=lambda runtime: RUNTIMES[runtime].by_name)
            rows.append([f"`{artifact}`", entry.summary, ", ".join(f"`{runtime}`" for runtime in runtimes)])
    return "\n".join(_table(["Artifact", "Format", "Runtimes, the default first"], rows))


def runtimes() -> str:
    """Return every runtime, and how to install it."""
    rows = [
        [f"`{name}`", entry.summary, f"`{entry.install_line()}`" if entry.requires else "always there"]
        for name, entry in RUNTIMES.items()
    ]
    return "\n".join(_table(["Runtime", "What it is", "Install"], rows))


def limits() -> str:
    """Return the limits of every quantization, and the same as a gate file."""
    gates = GateTable()
    tables = {name: table for name, table in gates.document().items() if isinstance(table, dict)}
    rows = [
        [f"`{key}`", limit.meaning, *(f"{table[key]:.3g}" if key in table else "" for table in tables.values())]
        for key, limit in {**LIMITS, **BUDGET}.items()
    ]
    table = _table(["Limit", "What it limits", *(f"`{name}`" for name in tables)], rows)
    return "\n".join([*table, "", "```toml", gate_toml(gates).rstrip(), "```"])


def documents() -> str:
    """Return every JSON document, then the objects that they contain."""
    for module in pkgutil.walk_packages(edgemnist.__path__, "edgemnist."):
        if "results" in module.name.split("."):
            importlib.import_module(module.name)
    order = list(_named_commands())

    def place(kind: type) -> tuple[int, str]:
        named = re.match(r"`edgemnist ([\w -]+)", kind.__doc__ or "")
        first = next((at for at, name in enumerate(order) if named and named[1].startswith(name)), len(order))
        return (first, kind.__name__)

    found = sorted(set(_subclasses(Result)), key=place)
    parts: dict[str, type[msgspec.Struct]] = {}
    lines = []
    for kind in found:
        lines += [*_struct(kind, "##"), ""]
        _collect(kind, parts)
    lines += ["## Objects within them", ""]
    for name in sorted(parts):
        lines += [*_struct(parts[name], "###"), ""]
    return "\n".join(lines)


def _struct(kind: type[msgspec.Struct], heading: str) -> list[str]:
    meanings = dict(_field_docs(kind))
    hints = typing.get_type_hints(kind)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    rows = [[f"`{name}`", _json_type(hints[field]), meanings.get(field, "")] for field, name in names]
    about = inspect.cleandoc(kind.__doc__ or "")
    return [f"{heading} {kind.__name__}", "", about, "", *_table(["Field", "Type", "Meaning"], rows)]


def _field_docs(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the string below each field, which exists in the source only; of base classes, too."""
    yield "schema_version", "1. Within a version fields may be added, never renamed or removed."
    for one in reversed(kind.__mro__):
        if one.__module__.partition(".")[0] != edgemnist.__name__:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for the type checker
        for field, after in zip(definition.body, definition.body[1:], strict=False):
            match field, after:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(text))):
                    yield name, " ".join(text.split())


def _collect(kind: type[msgspec.Struct], parts: dict[str, type[msgspec.Struct]]) -> None:
    for hint in typing.get_type_hints(kind).values():
        for one in _leaves(hint):
            if isinstance(one, type) and issubclass(one, msgspec.Struct) and one.__name__ not in parts:
                if not issubclass(one, Result):
                    parts[one.__name__] = one
                _collect(one, parts)


def _leaves(hint: object) -> Iterator[object]:
    arguments = typing.get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        yield from _leaves(argument)


def _json_type(hint: Any) -> str:  # noqa: ANN401 - a type hint may be anything
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_json_type(argument) for argument in arguments)
    if origin in {list, tuple}:
        return f"array of {_json_type(arguments[0])}"
    if origin is dict:
        return f"object, {_json_type(arguments[1])} by name"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return _JSON_TYPES.get(hint) or f"`{getattr(hint, '__name__', hint)}`"


def python() -> str:
    """Return requests to mkdocstrings for all that `edgemnist` exports, the classifier and the errors."""
    names = [name for name in edgemnist.__all__ if not name.startswith("_")]
    public: dict[str, Any] = {f"edgemnist.{name}": getattr(edgemnist, name) for name in names}
    others: list[type[Any]] = [Classifier, errors.EdgemnistError]
    others += [kind for kind in _subclasses(errors.EdgemnistError) if kind.__module__ == errors.__name__]
    public |= {one.__name__: one for one in others}
    return "\n\n".join(
        f"::: {one.__module__}.{one.__qualname__}\n    options:\n      heading: {name}\n      toc_label: {name}"
        for name, one in public.items()
    )


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


PARTS: Final[dict[str, Callable[[], str]]] = {
    part.__name__: part for part in (commands, exit_codes, artifacts, runtimes, limits, documents, python)
}
"""What a page may ask for, by name."""
