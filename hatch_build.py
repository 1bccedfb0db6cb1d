"""Hatchling's build hook: compiles the native engine into a wheel, or into the checkout of an editable install.

It also writes into wheels and sdists which commit they are built from.

Without a compiler the wheel is a pure one, and everything but the native runtime works.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


class NativeEngineHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's configuration is of no use here
    """Adds the shared library and the commit to what is built."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Record the commit and compile the engine; `version` is `editable` or `standard`."""
        package = Path(self.root) / "edgemnist"
        # An editable install asks git at any time; an sdist has the record, as a part of the package.
        if version != "editable":
            self._record(package, build_data)
        if self.target_name == "wheel":
            self._compile(version, package / "model" / "native", build_data)

    def _record(self, package: Path, build_data: dict[str, Any]) -> None:
        built = _module(package / "ground" / "built.py")
        found = built.built_from(package)
        if found is None or (package / built.BUILT_FILE).is_file():
            return
        self._made = tempfile.TemporaryDirectory(prefix="edgemnist-built-")
        record = Path(self._made.name) / built.BUILT_FILE
        record.write_text(json.dumps(found._asdict()) + "\n")
        build_data["force_include"][str(record)] = f"edgemnist/{built.BUILT_FILE}"

    def _compile(self, version: str, native: Path, build_data: dict[str, Any]) -> None:
        build = _module(native / "__init__.py")
        library = build.library_name()
        if version == "editable":
            made = native / library
        else:
            self._directory = tempfile.TemporaryDirectory(prefix="edgemnist-engine-")
            made = Path(self._directory.name) / library
        try:
            build.compile_library(made)
        except (build.CompilerError, OSError) as error:
            self.app.display_warning(f"edgemnist is installed without its native runtime. {error}")
            return
        if version != "editable":
            build_data["force_include"][str(made)] = f"edgemnist/model/native/{library}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_own_platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was made for a wheel or an sdist."""
        del version, build_data, artifact_path
        for name in ("_made", "_directory"):
            if hasattr(self, name):
                getattr(self, name).cleanup()


def _own_platform() -> str:
    """Return the tag of this very system: a local compiler promises nothing about older ones."""
    tags = list(platform_tags())
    return next((tag for tag in tags if tag.startswith("linux_")), tags[0])


def _module(path: Path) -> ModuleType:
    """Import a file without the package around it, which is not installed yet."""
    name = f"edgemnist_native_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
