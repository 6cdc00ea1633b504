"""Which process the workers of a group have in common, if a server has several; nothing is guessed.

Two servers that somebody started from one shell are no group, nor are those of two masters.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carboy.front.gunicorn_worker import find_worker, is_served_by_threads

SUPPORTED = hasattr(socket, "AF_UNIX") and hasattr(os, "getppid") and hasattr(os, "getuid")
"""Whether the system has what workers need to find one another."""


@dataclass(frozen=True)
class Master:
    """What the workers of a group have in common.

    Attributes:
        process: the id of the process that has started them.
        label: which of its servers they are.
    """

    process: int
    label: str

    @property
    def key(self) -> str:
        """What tells it from any other master, also one whose process id it got later."""
        return f"{start_time(self.process)} {self.label}"


def master_of_wsgi(environ: Mapping[str, Any], number: int) -> Master | None:
    """Returns the master of a process to which a WSGI server brings a request; None if it is alone.

    One worker of gunicorn's has a master too: a signal may bring more, and a new one beside the old. Other
    servers are asked in their own way, as many say `wsgi.multiprocess` though they have one process.

    Args:
        environ: the WSGI environment.
        number: which of the Socket.IO servers of the process it is for.
    """
    if not SUPPORTED:
        return None
    if environ.get("SERVER_SOFTWARE", "").startswith("gunicorn") and _is_gunicorn():
        return Master(os.getppid(), f"gunicorn {number}")
    if environ.get("mod_wsgi.process_group") and environ.get("wsgi.multiprocess"):
        groups = f"{environ['mod_wsgi.process_group']} {environ.get('mod_wsgi.application_group')}"
        return Master(os.getppid(), f"{groups} {number}")
    uwsgi = sys.modules.get("uwsgi")
    master = uwsgi.masterpid() if uwsgi is not None else 0
    return Master(master, f"uwsgi {number}") if master else None


def master_of_asgi(scope: Mapping[str, Any], number: int) -> Master | None:
    """Returns the master of a process to which an ASGI server brings a scope; None if it is alone.

    Args:
        scope: the scope.
        number: which of the Socket.IO servers of the process it is for.
    """
    if not SUPPORTED:
        return None
    if _is_gunicorn():
        return Master(os.getppid(), f"gunicorn {number}")
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return None
    host, port = scope.get("server") or ("", None)
    return Master(parent.pid, f"asgi {port or host} {number}")


def master_of_worker(number: int) -> Master | None:
    """Returns the master of a process that a WSGI server has not brought a request yet, where it is known.

    The master itself, which may load the application too, is none of its workers, nor is what a worker forks.

    Args:
        number: which of the Socket.IO servers of the process it is for.
    """
    worker = find_worker() if SUPPORTED else None
    if worker is None or worker.ppid != os.getppid() or not is_served_by_threads(worker):
        return None
    return Master(worker.ppid, f"gunicorn {number}")


def master_of_lifespan(number: int) -> Master | None:
    """Returns the master of a process to which an ASGI server brings no scope with an address yet.

    uvicorn gives its workers the socket that they share; elsewhere the first request tells.

    Args:
        number: which of the Socket.IO servers of the process it is for.
    """
    given = getattr(multiprocessing.current_process(), "_kwargs", {}).get("sockets")
    listener = given[0] if isinstance(given, list) and len(given) == 1 else None
    if not isinstance(listener, socket.socket):
        return master_of_asgi({}, number) if _is_gunicorn() else None
    name = listener.getsockname()
    return master_of_asgi({"server": name[:2]} if isinstance(name, tuple) else {}, number)


def start_time(process: int) -> str:
    """Returns when a process has started, in clock ticks since the boot; empty where no system tells."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19]


def _is_gunicorn() -> bool:
    """Returns whether a master of gunicorn's has forked this process."""
    return "gunicorn.arbiter" in sys.modules and os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
