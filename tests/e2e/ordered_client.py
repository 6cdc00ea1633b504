"""python-socketio's client of the registry, where it is installed, with its packets in order."""

from __future__ import annotations

import importlib
from typing import Any

try:
    engineio: Any = importlib.import_module("engineio")
    socketio: Any = importlib.import_module("socketio")
except ImportError:
    socketio = None

if socketio is not None:

    class OrderedEngine(engineio.Client):  # type: ignore[misc]
        """The stock client hands each packet to a thread of its own, which mixes attachments up."""

        def _trigger_event(self, event: str, *args: Any, run_async: bool = False, **options: Any) -> Any:
            return super()._trigger_event(event, *args, run_async=run_async and event != "message", **options)

    class OrderedClient(socketio.Client):  # type: ignore[misc]
        """A client that receives one packet after another."""

        def _engineio_client_class(self) -> type[Any]:
            return OrderedEngine
