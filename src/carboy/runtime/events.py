"""What an event or an acknowledgement from an accepted client leads to."""

from __future__ import annotations

import asyncio
from typing import Any

from carboy.exceptions import ArgumentsError, LimitError
from carboy.runtime.acks import answer_ack
from carboy.runtime.client import Client
from carboy.runtime.handlers import Handlers
from carboy.runtime.hub import Hub
from carboy.runtime.jobs import Jobs
from carboy.runtime.log import TEXT, Log
from carboy.runtime.message import Message
from carboy.socketio.packets import ACK, Codec


class Events:
    """Runs the handlers of events and sends what they return as acknowledgements.

    Args:
        hub: whose outbox carries the acknowledgements.
        handlers: who answers what.
        jobs: runs the handlers.
        codec: encodes the acknowledgements.
        log: where exceptions are told.
    """

    def __init__(self, hub: Hub, handlers: Handlers, jobs: Jobs, codec: Codec, log: Log) -> None:
        self._hub = hub
        self._handlers = handlers
        self._jobs = jobs
        self._codec = codec
        self._log = log

    def receive(self, client: Client, number: int | None, data: list[Any]) -> None:
        """Takes an event; one that nobody answers is left alone, and never acknowledged.

        Args:
            client: who sent it.
            number: the id under which it wants an acknowledgement, or None.
            data: the name of the event and its arguments.
        """
        event = data[0]
        found = self._handlers.find(client.namespace, event)
        if self._log.progress:
            nobody = "" if found is not None else ", which has no handler"
            self._log.info(
                f"Client %s in %r sent the event {TEXT}%s", client.sid, client.namespace, event, nobody
            )
        if found is not None:
            handler, named = found
            arguments = tuple(data if named else data[1:])
            self._jobs.start(client, handler, event, arguments, self.answer, (number, event))

    def receive_ack(self, client: Client, number: int | None, arguments: list[Any]) -> None:
        """Takes an acknowledgement; it never queues behind handlers."""
        answer_ack(client, number, arguments)

    def answer(self, client: Client, token: Any, result: Any, error: BaseException | None) -> None:
        """Acknowledges an event whose handler has ended; the token is (number, event)."""
        number, event = token
        if error is not None:
            self.report(client, event, error)
        elif number is not None:
            try:
                encoded = self._codec.encode(ACK, client.namespace, number, ack_arguments(result), b"4")
            except Exception as unsuitable:  # noqa: BLE001 (a `json=` may raise anything)
                self.report(client, event, unsuitable)
            else:
                message = Message(*encoded)
                if client.connection.inline:  # its test is told, also if the handler has disconnected it
                    client.connection.send(message)
                else:
                    self._hub.outbox.put(client.send, message)

    def report(self, client: Client, event: Any, error: BaseException) -> None:
        """Tells about an exception that no error handler took: the log, or the test behind the client."""
        if client.connection.inline:
            client.connection.transport.raise_later(error)
        elif isinstance(error, ArgumentsError):
            self._log.rarely("arguments", "Client %s in %r: %s", client.sid, client.namespace, error)
        elif isinstance(error, LimitError):
            self._log.rarely(error.option, "Client %s in %r: %s", client.sid, client.namespace, error)
        elif isinstance(error, asyncio.CancelledError):
            self._log.warning("The handler of the event %r was cancelled (client %s)", event, client.sid)
        else:
            self._log.exception(
                "Exception in the handler of the event %r (namespace %r, client %s)",
                event,
                client.namespace,
                client.sid,
                error=error,
            )


def ack_arguments(result: Any) -> list[Any]:
    """Turns what a handler returns into the arguments of the acknowledgement, as Flask-SocketIO does.

    Args:
        result: None for no argument, a tuple for several, anything else for one.

    Returns:
        The arguments.
    """
    if result is None:
        return []
    return list(result) if isinstance(result, tuple) else [result]
