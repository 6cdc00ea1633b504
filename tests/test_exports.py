"""The public names of both packages: `__all__` says all of them and nothing else."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

# What `from flask_socketio import ...` has always offered; applications rely on each.
FLASK_SOCKETIO = {
    "ConnectionRefusedError",
    "Namespace",
    "SocketIO",
    "SocketIOTestClient",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "rooms",
    "send",
}


def public_names(module: ModuleType) -> set[str]:
    """Return what a reader takes for public: no underscore, no submodule, no `annotations`."""
    values = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        name
        for name, value in values.items()
        if not isinstance(value, ModuleType) and type(value).__module__ != "__future__"
    }


@pytest.mark.parametrize("package", ["carboy", "flask_socketio"])
def test_all_names_exactly_what_is_public(package: str) -> None:
    """`__all__` names each public name, once."""
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(public_names(module))


@pytest.mark.parametrize("package", ["carboy", "flask_socketio"])
def test_packages_tell_type_checkers_that_they_are_typed(package: str) -> None:
    """Both packages carry the marker of PEP 561."""
    (folder,) = importlib.import_module(package).__path__
    assert (Path(folder) / "py.typed").is_file()


@pytest.mark.parametrize("name", sorted(FLASK_SOCKETIO))
def test_names_of_flask_socketio_can_be_imported(name: str) -> None:
    """An application that imports from Flask-SocketIO finds the name."""
    assert callable(getattr(importlib.import_module("flask_socketio"), name))


def test_submodules_of_flask_socketio_can_be_imported() -> None:
    """The two submodules that applications import from are where they were."""
    namespace = importlib.import_module("flask_socketio.namespace")
    test_client = importlib.import_module("flask_socketio.test_client")
    package = importlib.import_module("flask_socketio")
    assert (namespace.Namespace, test_client.SocketIOTestClient) == (
        package.Namespace,
        package.SocketIOTestClient,
    )
