"""Tells users of uWSGI what to start it with: by default no thread of an application ever runs."""

from __future__ import annotations

import sys
from typing import Any

from carboy.exceptions import ConfigurationError


def refuse_uwsgi_without_threads() -> None:
    """Raises in a process of uWSGI that runs no threads.

    Raises:
        ConfigurationError: naming the option that is missing.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None)
    if not isinstance(options, dict):
        return
    names = {name.decode() if isinstance(name, bytes) else name for name in options}
    if not names & {"enable-threads", "threads"}:
        raise ConfigurationError(
            "uWSGI runs no threads as it was started, and without them the Socket.IO server would hang: start"
            " it with --enable-threads (or --threads 4)"
        )
