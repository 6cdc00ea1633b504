"""An emit that can reach nobody is told of: as an error in a task, elsewhere in the log."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from carboy.config import Config
from carboy.exceptions import NotServingError
from carboy.runtime.server import Server
from carboy.transports.memory import MemoryConnection


@pytest.fixture
def server(logger: logging.Logger) -> Server:
    """A server that serves nobody."""
    logger.setLevel(logging.WARNING)
    return Server(Config.from_options({"logger": logger}))


def load(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> None:
    """Stands in for a library that is loaded, of which nothing but these attributes is looked at."""
    module = ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


def celery_task(*, eager: bool = False, direct: bool = False) -> Any:
    """Returns a task of Celery that runs."""
    return SimpleNamespace(request=SimpleNamespace(is_eager=eager, called_directly=direct))


TASKS = [
    ("celery", {"current_task": celery_task()}, "Celery"),
    ("rq", {"get_current_job": lambda: SimpleNamespace(worker_name="w")}, "RQ"),
    ("huey.bin.huey_consumer", {}, "Huey"),
    ("dramatiq.cli", {}, "Dramatiq"),
]

NO_TASKS: list[tuple[str, dict[str, Any]]] = [
    ("celery", {"current_task": None}),
    ("celery", {"current_task": celery_task(eager=True)}),
    ("celery", {"current_task": celery_task(direct=True)}),
    ("celery", {}),
    ("rq", {"get_current_job": lambda: None}),
    ("rq", {"get_current_job": lambda: SimpleNamespace(worker_name=None)}),
    ("rq", {}),
    ("huey", {}),
    ("dramatiq", {}),
]


@pytest.mark.parametrize(("module", "attributes", "library"), TASKS)
def test_emit_in_a_task_is_an_error(
    server: Server, monkeypatch: pytest.MonkeyPatch, module: str, attributes: dict[str, Any], library: str
) -> None:
    """It names the cure, also where an answer is wanted."""
    load(monkeypatch, module, **attributes)
    with pytest.raises(NotServingError, match=f"'e'.* {library} task .*message_queue="):
        server.emit("e")
    with pytest.raises(NotServingError, match="message_queue="):
        server.emit_with_ack("e", [], lambda *_: None, lambda *_: None)


@pytest.mark.parametrize(("module", "attributes"), NO_TASKS)
def test_emit_elsewhere_is_a_line_in_the_log(
    server: Server, monkeypatch: pytest.MonkeyPatch, lines: Any, module: str, attributes: dict[str, Any]
) -> None:
    """One line, however often; in a task that runs eagerly too."""
    load(monkeypatch, module, **attributes)
    for _ in range(100):
        server.emit("e")
    assert len(lines) == 1
    assert "reached nobody: no server runs in this process" in lines[0].getMessage()


def test_emit_where_clients_may_come_is_no_matter(world: Any) -> None:
    """While the server runs; or an in-memory client is there, though not in this room."""
    world.server.emit("e")
    assert world.warnings() == []


def test_emit_beside_in_memory_clients_is_no_matter(server: Server, lines: Any) -> None:
    """A test of an application sees no warning."""
    MemoryConnection(server, {})
    server.emit("e", rooms=["empty"])
    assert lines == []
