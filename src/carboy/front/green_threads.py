"""Tells applications that patch the standard library for green threads why they must not any more.

The loop and the handler threads need the real `threading`; under gevent's or eventlet's patches the process
would hang at its first event, so it is refused at the start.
"""

from __future__ import annotations

import sys

from carboy.exceptions import ConfigurationError


def refuse_green_threads() -> None:
    """Raises if the standard library's threads have been replaced.

    Raises:
        ConfigurationError: naming the call to take out.
    """
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        name, worker = "gevent", "gevent.monkey.patch_all()"
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        name, worker = "eventlet", "eventlet.monkey_patch()"
    else:
        return
    raise ConfigurationError(
        f"{name} has replaced Python's threads, and with them the server would hang. Take {worker} out:"
        f" handlers may block as they are, on real threads. Under gunicorn use `-k gthread --threads 4` in"
        f" place of its {name} worker"
    )
