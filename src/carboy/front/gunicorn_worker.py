"""What gunicorn says about the worker that this process is: how many threads it has, and when it ends.

No environment shows the worker. The handler of its signals is a method of it, which is how it is found; where
gunicorn changes that, everything here answers as if there were no gunicorn, and the end of the process is
noticed at its exit.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any


def find_worker() -> Any:
    """Returns gunicorn's worker, or None in any other process."""
    base = sys.modules.get("gunicorn.workers.base")
    if base is None:
        return None
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return worker if isinstance(worker, base.Worker) else None


def is_loaded() -> bool:
    """Returns whether gunicorn runs this process, as its master or as a worker."""
    return "gunicorn.workers.base" in sys.modules


def is_served_by_threads(worker: Any) -> bool:
    """Returns whether a worker is one of those that serve WSGI on plain threads.

    Args:
        worker: what `find_worker` has found.
    """
    return any(
        isinstance(worker, getattr(sys.modules.get(f"gunicorn.workers.{module}"), name, ()))
        for module, name in (("sync", "SyncWorker"), ("gthread", "ThreadWorker"))
    )


def call_at_exit(function: Callable[[], None]) -> bool:
    """Has gunicorn call a function when this worker ends, while threads can still be started.

    At the exit of the interpreter (`atexit`) they cannot, since Python 3.12, and handlers would not run.

    Args:
        function: what to call, before the application's own `worker_exit`.

    Returns:
        Whether this process is a worker of gunicorn's.
    """
    worker = find_worker()
    if worker is None:
        return False
    following = worker.cfg.worker_exit

    def leave(arbiter: Any, leaving: Any) -> None:
        try:
            function()
        finally:
            following(arbiter, leaving)

    worker.cfg.set("worker_exit", leave)
    return True


def is_stopping() -> bool:
    """Returns whether this process is a worker that takes no further connections."""
    worker = find_worker()
    return worker is not None and not worker.alive


def count_threads(multithread: bool) -> int | None:
    """Returns how many requests can be answered at once.

    Args:
        multithread: what the environment says (`wsgi.multithread`).

    Returns:
        The number of threads; None if nothing bounds it.
    """
    worker = find_worker()
    if not multithread:
        return 1
    return None if worker is None else int(worker.cfg.threads)
