"""Who belongs to one master, and who does not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from carboy.front.workers.masters import (
    Master,
    master_of_asgi,
    master_of_lifespan,
    master_of_worker,
    master_of_wsgi,
    start_time,
)


@pytest.fixture
def gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process one that gunicorn's master has forked."""
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", ModuleType("gunicorn.arbiter"))
    monkeypatch.setenv("SERVER_SOFTWARE", "gunicorn/25.0")


def child_of(monkeypatch: pytest.MonkeyPatch, process: int | None) -> None:
    """Make the process one that multiprocessing has started, or none."""
    parent = None if process is None else SimpleNamespace(pid=process)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)


ALONE: list[dict[str, Any]] = [
    {},
    {"SERVER_SOFTWARE": "Werkzeug/3.1"},
    {"SERVER_SOFTWARE": "gunicorn/25.0"},
    {"wsgi.multiprocess": True},
    {"mod_wsgi.process_group": "", "wsgi.multiprocess": True},
    {"mod_wsgi.process_group": "site", "wsgi.multiprocess": False},
]


@pytest.mark.parametrize("environ", ALONE)
def test_wsgi_process_is_alone_unless_its_server_says_more(environ: dict[str, Any]) -> None:
    """Many servers say that there are several processes, though there are not."""
    assert master_of_wsgi(environ, 0) is None


@pytest.mark.usefixtures("gunicorn")
def test_workers_of_gunicorn_have_its_master() -> None:
    """Under both interfaces, one worker too; several servers of an application do not mix."""
    environ = {"SERVER_SOFTWARE": "gunicorn/25.0"}
    master = master_of_wsgi(environ, 0)
    assert master is not None
    assert master.process == os.getppid()
    assert master_of_asgi({"server": ("127.0.0.1", 8000)}, 0) == master
    assert master_of_wsgi(environ, 1) != master


def test_daemons_of_apache_are_known_by_their_groups() -> None:
    """Two groups of one Apache are not one."""
    environ = {"wsgi.multiprocess": True, "mod_wsgi.application_group": "a"}
    one = master_of_wsgi({**environ, "mod_wsgi.process_group": "one"}, 0)
    assert one is not None
    assert one.process == os.getppid()
    assert one != master_of_wsgi({**environ, "mod_wsgi.process_group": "other"}, 0)


@pytest.mark.parametrize(("process", "found"), [(0, None), (77, 77)])
def test_uwsgi_is_asked_for_its_master(
    monkeypatch: pytest.MonkeyPatch, process: int, found: int | None
) -> None:
    """Without a master it says 0."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(masterpid=lambda: process))
    master = master_of_wsgi({"wsgi.multiprocess": True}, 0)
    assert (master and master.process) == found


def test_asgi_process_is_alone_unless_multiprocessing_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers such as uvicorn start their workers so; those of another port are another server's."""
    child_of(monkeypatch, None)
    assert master_of_asgi({"server": ("127.0.0.1", 8000)}, 0) is None
    child_of(monkeypatch, 77)
    master = master_of_asgi({"server": ("127.0.0.1", 8000)}, 0)
    assert master is not None
    assert master.process == 77
    assert master == master_of_asgi({"server": ("10.0.0.1", 8000)}, 0)
    assert master != master_of_asgi({"server": ("127.0.0.1", 8001)}, 0)
    assert master != master_of_asgi({"server": ("/run/socket", None)}, 0)
    assert master_of_asgi({}, 0) is not None


def test_worker_of_gunicorn_is_known_before_its_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """By who handles its signals; the master, and what a worker forks, are no workers."""
    gthread = pytest.importorskip("gunicorn.workers.gthread")
    worker = gthread.ThreadWorker.__new__(gthread.ThreadWorker)
    handlers: list[Callable[..., None]] = [worker.handle_exit, print]
    monkeypatch.setattr(signal, "getsignal", lambda number: handlers[0])
    worker.ppid = os.getppid()
    assert master_of_worker(3) == Master(os.getppid(), "gunicorn 3")
    worker.ppid = os.getpid()
    assert master_of_worker(3) is None
    worker.ppid = os.getppid()
    del handlers[0]
    assert master_of_worker(3) is None


def test_worker_of_uvicorn_is_known_by_the_socket_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the first request, which comes later; nothing is known without a socket."""
    child_of(monkeypatch, 77)
    assert master_of_lifespan(0) is None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = SimpleNamespace(_kwargs={"sockets": [listener]})
        monkeypatch.setattr(multiprocessing, "current_process", lambda: process)
        master = master_of_lifespan(0)
        assert master is not None
        assert master == master_of_asgi({"server": listener.getsockname()}, 0)
        process._kwargs["sockets"] = [listener, listener]
        assert master_of_lifespan(0) is None
    with socket.socket(socket.AF_UNIX) as nameless:
        process._kwargs["sockets"] = [nameless]
        assert master_of_lifespan(0) == master_of_asgi({"server": None}, 0)


@pytest.mark.usefixtures("gunicorn")
def test_asgi_worker_of_gunicorn_is_known_at_its_start() -> None:
    """It needs no address, since its parent is the master for sure."""
    assert master_of_lifespan(0) == Master(os.getppid(), "gunicorn 0")


def test_nobody_has_a_master_where_workers_cannot_find_one_another(
    monkeypatch: pytest.MonkeyPatch, gunicorn: None
) -> None:
    """Systems without Unix sockets serve with one process as ever."""
    monkeypatch.setattr("carboy.front.workers.masters.SUPPORTED", False)
    assert master_of_wsgi({"SERVER_SOFTWARE": "gunicorn/25.0"}, 0) is None
    assert master_of_asgi({}, 0) is None
    assert master_of_lifespan(0) is None
    assert master_of_worker(0) is None


def test_start_time_tells_a_process_from_a_later_one_of_its_id() -> None:
    """It stays the same, and is empty where there is no such process."""
    assert start_time(os.getpid()) == start_time(os.getpid())
    assert start_time(2**30) == ""
    assert Master(os.getpid(), "x").key == f"{start_time(os.getpid())} x"
