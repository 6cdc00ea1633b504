"""The rules of the house: who imports whom, how files are named, how long they are, that each has its test.

A rule is a function from a source tree to the list of its violations. Every rule is run on the sources and
on small trees that break it. Imports are read from the syntax: deferred ones count, those for types as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400

# A layer imports only from layers before its own; those in one row are siblings and do not know each other.
LAYERS = (
    {"carboy.exceptions"},
    {"carboy.config"},
    {"carboy.engineio", "carboy.socketio"},
    {"carboy.adapters"},
    {"carboy.runtime"},
    {"carboy.transports"},
    {"carboy.front"},
    {"carboy"},  # what `carboy/__init__.py` offers
    {"flask_socketio"},
)
RANK = {layer: rank for rank, row in enumerate(LAYERS) for layer in row}

PROTOCOL = ("carboy.engineio", "carboy.socketio")
PROTOCOL_MAY_USE = {"carboy.exceptions"}
CODECS_MAY_USE = {"orjson", "msgspec"}
NEEDS_A_RUNTIME = {
    *("asyncio", "concurrent", "logging", "multiprocessing", "queue", "sched", "select", "selectors"),
    *("signal", "socket", "socketserver", "ssl", "subprocess", "_thread", "threading", "time"),
}
WEB_FRAMEWORK = {"flask", "werkzeug"}

# The running interpreter's modules, and those that only some of the supported versions have.
STANDARD_LIBRARY = sys.stdlib_module_names | {"annotationlib", "compression", "tomllib"}

# Source files without a test file of their own, each with its reason.
WITHOUT_TEST: dict[str, str] = {
    "carboy/adapters/bus.py": "a port: tests/contracts holds its implementations to it",
    "carboy/adapters/driver.py": "a port: tests/contracts holds its implementations to it",
}


@dataclass(frozen=True)
class Import:
    """One imported name; `target` is the module that it comes from."""

    module: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


class Tree:
    """The sources and tests below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "src"

    @cached_property
    def modules(self) -> dict[str, Path]:
        """The file of each module; a package stands for its `__init__.py`."""
        return {self._name(path): path for path in sorted(self.source.rglob("*.py"))}

    @cached_property
    def imports(self) -> list[Import]:
        """Every import of every module."""
        return [found for module, path in self.modules.items() for found in self._imports_of(module, path)]

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.source).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _imports_of(self, module: str, path: Path) -> Iterator[Import]:
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(module, alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    origin = ".".join([*above, *filter(None, [node.module])])
                for alias in node.names:
                    submodule = f"{origin}.{alias.name}"
                    yield Import(module, submodule if submodule in self.modules else origin, node.lineno)


def layer_of(module: str) -> str | None:
    """Return the layer of a module of ours, None for anybody else's."""
    package, _, rest = module.partition(".")
    if package != "carboy":
        return package if package in RANK else None
    return ".".join([package, *rest.split(".")[:1]]) if rest else package


def top(module: str) -> str:
    """Return the name that a module is installed under."""
    return module.partition(".")[0]


def in_protocol(module: str) -> bool:
    """Tell whether a module belongs to one of the packages without input and output."""
    return layer_of(module) in PROTOCOL


Violations: TypeAlias = "list[str]"
Rule: TypeAlias = "Callable[[Tree], Violations]"


def every_module_has_a_layer(tree: Tree) -> Violations:
    """A new package must be given its place in LAYERS."""
    return [f"{module} has no place in LAYERS" for module in tree.modules if layer_of(module) not in RANK]


def layers_import_only_what_stands_before_them(tree: Tree) -> Violations:
    """No import goes up, nor across to a sibling."""
    return [
        str(found)
        for found in tree.imports
        if (ours := layer_of(found.module)) != (theirs := layer_of(found.target))
        and ours in RANK
        and theirs in RANK
        and RANK[theirs] >= RANK[ours]
    ]


def modules_do_not_import_in_a_circle(tree: Tree) -> Violations:
    """From no module does a chain of imports lead back to it."""
    edges: dict[str, set[str]] = {module: set() for module in tree.modules}
    for found in tree.imports:
        if found.target in edges and found.target != found.module:
            edges[found.module].add(found.target)
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return [" is imported by ".join(error.args[1])]
    return []


def protocol_packages_need_only_the_standard_library(tree: Tree) -> Violations:
    """They use the error tree and the standard library; a codec may use its encoder."""
    return [
        str(found)
        for found in tree.imports
        if in_protocol(found.module)
        and layer_of(found.target) not in {layer_of(found.module), *PROTOCOL_MAY_USE}
        and top(found.target) not in STANDARD_LIBRARY
        and not (found.module.endswith("codec") and top(found.target) in CODECS_MAY_USE)
    ]


def protocol_packages_need_no_runtime(tree: Tree) -> Violations:
    """They have no clock, thread, task, log or socket."""
    return [
        str(found)
        for found in tree.imports
        if in_protocol(found.module) and top(found.target) in NEEDS_A_RUNTIME
    ]


def server_knows_nothing_of_flask(tree: Tree) -> Violations:
    """Only `flask_socketio` imports the web framework."""
    return [
        str(found)
        for found in tree.imports
        if top(found.module) == "carboy" and top(found.target) in WEB_FRAMEWORK
    ]


def modules_are_not_named_like_the_standard_library(tree: Tree) -> Violations:
    """A reader who meets a name of the standard library meets the standard library."""
    return [
        f"{module} has the name of a module of the standard library"
        for module in tree.modules
        if module.rpartition(".")[2] in STANDARD_LIBRARY
    ]


def files_are_short(tree: Tree) -> Violations:
    """A file can be read in one go."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tree.modules.values()}
    return [
        f"{path.relative_to(tree.root)} has {length} lines, {MAX_LINES} are allowed"
        for path, length in lengths.items()
        if length > MAX_LINES
    ]


def modules_have_a_test_file_of_their_name(tree: Tree) -> Violations:
    """`carboy/<package>/<module>.py` is tested by `tests/<package>/test_<module>.py`."""
    violations = []
    for path in tree.modules.values():
        name = path.relative_to(tree.source)
        folder = Path(*name.parent.parts[1:]) if name.parts[0] == "carboy" else name.parent
        test = Path("tests", folder, f"test_{name.name}")
        excepted = path.name == "__init__.py" or name.as_posix() in WITHOUT_TEST
        if not excepted and not (tree.root / test).is_file():
            violations.append(f"{name.as_posix()} has no {test.as_posix()}")
    return violations


RULES: list[Rule] = [
    every_module_has_a_layer,
    layers_import_only_what_stands_before_them,
    modules_do_not_import_in_a_circle,
    protocol_packages_need_only_the_standard_library,
    protocol_packages_need_no_runtime,
    server_knows_nothing_of_flask,
    modules_are_not_named_like_the_standard_library,
    files_are_short,
    modules_have_a_test_file_of_their_name,
]


def test_sources_are_found() -> None:
    """The rules look at both packages, not at an empty folder."""
    assert {"carboy", "carboy.exceptions", "flask_socketio"} <= set(Tree(ROOT).modules)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_sources_keep_the_rule(rule: Rule) -> None:
    """No module of Carboy breaks a rule of the house."""
    violations = rule(Tree(ROOT))
    assert not violations, "\n".join(violations)


def test_exceptions_from_the_test_files_are_still_needed() -> None:
    """A source file that is excepted exists."""
    assert [name for name in WITHOUT_TEST if not (ROOT / "src" / name).is_file()] == []


BROKEN: list[tuple[Rule, dict[str, str]]] = [
    (every_module_has_a_layer, {"carboy/extras/cache.py": ""}),
    (layers_import_only_what_stands_before_them, {"carboy/config.py": "import carboy.runtime.hub"}),
    (
        layers_import_only_what_stands_before_them,
        {"carboy/engineio/session.py": "import carboy.socketio.packets"},
    ),
    (layers_import_only_what_stands_before_them, {"carboy/adapters/local.py": "from ..runtime import hub"}),
    (layers_import_only_what_stands_before_them, {"carboy/front/asgi.py": "from flask_socketio import emit"}),
    (layers_import_only_what_stands_before_them, {"carboy/runtime/hub.py": "from carboy import Server"}),
    (
        layers_import_only_what_stands_before_them,
        {"carboy/runtime/hub.py": "def start():\n    from carboy.transports import polling"},
    ),
    (
        layers_import_only_what_stands_before_them,
        {"carboy/runtime/hub.py": "if TYPE_CHECKING:\n    from carboy.front.asgi import Application"},
    ),
    (
        modules_do_not_import_in_a_circle,
        {
            "flask_socketio/context.py": "from flask_socketio import namespace",
            "flask_socketio/namespace.py": "from flask_socketio.context import emit",
        },
    ),
    (
        modules_do_not_import_in_a_circle,
        {
            "carboy/front/__init__.py": "from .asgi import Application",
            "carboy/front/asgi.py": "from . import Application",
        },
    ),
    (protocol_packages_need_only_the_standard_library, {"carboy/engineio/session.py": "import orjson"}),
    (protocol_packages_need_only_the_standard_library, {"carboy/socketio/json_codec.py": "import uvloop"}),
    (protocol_packages_need_only_the_standard_library, {"carboy/socketio/rooms.py": "import carboy.config"}),
    (protocol_packages_need_no_runtime, {"carboy/engineio/heartbeat.py": "from time import monotonic"}),
    (protocol_packages_need_no_runtime, {"carboy/socketio/rooms.py": "import concurrent.futures"}),
    (server_knows_nothing_of_flask, {"carboy/runtime/hub.py": "def run():\n    from flask import request"}),
    (server_knows_nothing_of_flask, {"carboy/front/wsgi.py": "import werkzeug.serving"}),
    (modules_are_not_named_like_the_standard_library, {"carboy/runtime/queue.py": ""}),
    (modules_are_not_named_like_the_standard_library, {"carboy/adapters/types/__init__.py": ""}),
    (files_are_short, {"carboy/config.py": "pass\n" * (MAX_LINES + 1)}),
    (modules_have_a_test_file_of_their_name, {"carboy/engineio/cookies.py": ""}),
    (modules_have_a_test_file_of_their_name, {"flask_socketio/cli.py": "", "../tests/test_cli.py": ""}),
]


@pytest.mark.parametrize(("rule", "files"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_rule_finds_a_violation(rule: Rule, files: dict[str, str], tmp_path: Path) -> None:
    """A tree that breaks a rule does not pass for one that keeps it."""
    write_sources(tmp_path, files)
    assert rule(Tree(tmp_path))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_tree_that_keeps_it(rule: Rule, tmp_path: Path) -> None:
    """A tree that is in order breaks no rule."""
    files = {
        "carboy/__init__.py": "from carboy.runtime.hub import Hub",
        "carboy/exceptions.py": "import builtins",
        "carboy/socketio/__init__.py": "from .json_codec import JSONCodec",
        "carboy/socketio/json_codec.py": "import json, orjson\nfrom ..exceptions import PacketError",
        "carboy/runtime/hub.py": "import asyncio, time\nfrom carboy.socketio import json_codec",
        "flask_socketio/extension.py": "import flask, carboy\nfrom carboy.runtime.hub import Hub",
        "../tests/test_exceptions.py": "",
        "../tests/socketio/test_json_codec.py": "",
        "../tests/runtime/test_hub.py": "",
        "../tests/flask_socketio/test_extension.py": "",
    }
    write_sources(tmp_path, files)
    assert rule(Tree(tmp_path)) == []


def write_sources(root: Path, files: dict[str, str]) -> None:
    """Write the files of a tree; together they make every module that an import may name."""
    for name, text in files.items():
        path = root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
