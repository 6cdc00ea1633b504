"""Tells applications that patch the standard library for green threads why they must not any more.

The loop and the handler threads need the real `threading`, `queue` and `socket`; under gevent's or
eventlet's patches the process would hang at its first event, so it is refused at the start. Servers of green
threads that patch nothing do work.
"""

from __future__ import annotations

import sys
from typing import Any

from carboy.exceptions import ConfigurationError

GEVENT_NAMES = ("threading", "queue", "socket")
EVENTLET_NAMES = ("thread", "socket")
"""What must not be replaced, by the names that either has for it; eventlet's `thread` holds `queue` too."""


def refuse_green_threads() -> None:
    """Raises if the standard library's threads, queues or sockets have been replaced.

    Raises:
        ConfigurationError: naming the call to take out.
    """
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    if gevent is not None and any(map(gevent.is_module_patched, GEVENT_NAMES)):
        name, worker = "gevent", "gevent.monkey.patch_all()"
    elif eventlet is not None and any(map(eventlet.is_monkey_patched, EVENTLET_NAMES)):
        name, worker = "eventlet", "eventlet.monkey_patch()"
    else:
        return
    raise ConfigurationError(
        f"{name} has replaced Python's threads, queues or sockets, and the server would hang. Take {worker}"
        f" out: handlers may block as they are, on real threads. Under gunicorn use `-k gthread --threads 4`"
        f" in place of its {name} worker"
    )


def is_in_green_thread() -> bool:
    """Returns whether the caller runs in a green thread, where waiting keeps all the others waiting."""
    greenlet: Any = sys.modules.get("greenlet")
    return greenlet is not None and greenlet.getcurrent().parent is not None
