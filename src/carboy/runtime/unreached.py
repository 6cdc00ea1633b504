"""What happens to an emit in a process that has no clients, no server that could get some, and no queue.

In a task of a task queue it is an error, since there it can never reach anybody; elsewhere a line in the log.
The libraries are never imported here: what was not imported runs no task.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from carboy.exceptions import NotServingError
from carboy.runtime.log import Log

CURE = (
    "give the SocketIO object here, and that of the process that serves, the same message_queue=, as in"
    " SocketIO(message_queue='redis://')"
)


def tell_unreached(event: object, log: Log) -> None:
    """Tells that an event has reached nobody and could not.

    Args:
        event: its name.
        log: where it is told.

    Raises:
        NotServingError: in a task of Celery, RQ, Huey or Dramatiq.
    """
    library = task_queue()
    if library is not None:
        raise NotServingError(
            f"emit({event!r}) in a {library} task reaches nobody: no server runs in this process; {CURE}"
        )
    log.rarely(
        "unreached",
        "emit(%r) reached nobody: no server runs in this process. If another one has clients, %s",
        event,
        CURE,
    )


def task_queue() -> str | None:
    """Returns the name of the library whose task the caller is in; None if that runs eagerly."""
    for library, (module, is_in_task) in _LIBRARIES.items():
        loaded = sys.modules.get(module)
        if loaded is not None and is_in_task(loaded):
            return library
    return None


def _in_celery(celery: Any) -> bool:
    task: Any = getattr(celery, "current_task", None)  # a proxy, which is false outside of tasks
    return bool(task) and not task.request.is_eager and not task.request.called_directly


def _in_rq(rq: Any) -> bool:
    get_current_job = getattr(rq, "get_current_job", None)
    job = None if get_current_job is None else get_current_job()
    return job is not None and bool(job.worker_name)  # a queue that is not asynchronous has no worker


def _in_worker_process(_: Any) -> bool:
    return True  # nobody but the worker imports the module


_LIBRARIES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Celery": ("celery", _in_celery),
    "RQ": ("rq", _in_rq),
    "Huey": ("huey.bin.huey_consumer", _in_worker_process),
    "Dramatiq": ("dramatiq.cli", _in_worker_process),
}
