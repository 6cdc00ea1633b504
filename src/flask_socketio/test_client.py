"""A Socket.IO client for tests: real packets and sessions, no network, handlers in the test's own thread.

What it sends has been handled when the call returns, and exceptions of handlers are raised there. Other
clients of the server do not notice it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from flask import Flask
from flask.testing import EnvironBuilder, FlaskClient

from carboy.engineio.states import SessionInput
from carboy.runtime.message import Message
from carboy.runtime.server import Server
from carboy.socketio.packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet, check_packet
from carboy.transports.memory import MemoryConnection

from .targets import answer_arguments

# Events whose first argument stands for all of them in what `get_received` returns.
MESSAGES = frozenset({"message", "json"})

UNANSWERED = "the test client has no function for it (acknowledge=)"

# Whether a test client's call is under way, which will raise what goes wrong meanwhile.
_in_call: ContextVar[bool] = ContextVar("carboy_test_client_call", default=False)


class SocketIOTestClient:
    """A client for tests. It is connected when it has been made, unless the connect handler refused it.

    Args:
        app: the application.
        socketio: its SocketIO object.
        namespace: the namespace, "/" by default.
        query_string: the query of the handshake, with or without "?".
        headers: the headers of the handshake.
        auth: the data for the connect handler.
        flask_test_client: a test client of Flask, whose cookies and session this one has.
        acknowledge: functions by event. When the server emits the event and wants an acknowledgement, for a
            callback or a `call`, the function is called with the event's arguments, and what it returns is
            the answer.

    Attributes:
        eio_sid: the id of the engine session.
        connected: whether it is connected, by namespace.
        refused: what the server refused it with, by namespace: a dict with "message".
        queue: the events received, as `get_received` returns them.
        acks: the last acknowledgement that was not fetched.
        acknowledge: as above; may be changed at any time.
        callback_counter: the number of the last event that asked for an acknowledgement.
    """

    def __init__(
        self,
        app: Flask,
        socketio: Any,
        namespace: str | None = None,
        query_string: str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: dict[str, Any] | None = None,
        flask_test_client: FlaskClient | None = None,
        acknowledge: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.app = app
        self.socketio = socketio
        self.flask_test_client = flask_test_client
        self.acknowledge: dict[str, Callable[..., Any]] = dict(acknowledge or {})
        self.eio_sid = ""
        self.connected: dict[str, bool] = {}
        self.refused: dict[str, Any] = {}
        self.queue: list[dict[str, Any]] = []
        self.acks: dict[str, Any] | None = None
        self.callback_counter = 0
        self._answers: dict[int | None, list[Any]] = {}
        self._lock = threading.RLock()
        self._connection: _TestConnection | None = None
        self.connect(namespace=namespace, query_string=query_string, headers=headers, auth=auth)

    def is_connected(self, namespace: str | None = None) -> bool:
        """Tell whether the client is connected.

        Args:
            namespace: to which namespace, "/" by default.
        """
        return self.connected.get(namespace or "/", False)

    def connect(
        self,
        namespace: str | None = None,
        query_string: str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: dict[str, Any] | None = None,
    ) -> None:
        """Connect to a namespace, to one more or again.

        Each call is a new handshake for all namespaces of the client: what handlers see of the request is
        from the last one, and `session` begins anew.

        Args:
            namespace: the namespace, "/" by default.
            query_string: the query of the handshake.
            headers: the headers of the handshake.
            auth: the data for the connect handler.
        """
        namespace = namespace or "/"
        self._shake_hands(self._environ(query_string, headers))
        self.refused.pop(namespace, None)
        if not self.is_connected(namespace):
            self._submit(CONNECT, namespace, None, auth or None)

    def disconnect(self, namespace: str | None = None) -> None:
        """Disconnect from a namespace.

        Args:
            namespace: the namespace, "/" by default.

        Raises:
            RuntimeError: if the client is not connected to it.
        """
        namespace = self._joined(namespace)
        try:
            self._submit(DISCONNECT, namespace, None, None)
        finally:
            self.connected.pop(namespace, None)
            self._settle()

    def emit(self, event: str, *args: Any, **kwargs: Any) -> Any:
        """Send an event to the server, and let it be handled.

        Args:
            event: its name.
            *args: its arguments.
            **kwargs: `namespace`, "/" by default; `callback`, whether an acknowledgement is asked for.

        Returns:
            What the acknowledgement holds: one argument itself, otherwise a list of them; None if there is
            none.

        Raises:
            RuntimeError: if the client is not connected.
            Exception: what a handler raised meanwhile.
        """
        namespace = self._joined(kwargs.get("namespace"))
        number = None
        if kwargs.get("callback"):
            self.callback_counter += 1
            number = self.callback_counter
        self._submit(EVENT, namespace, number, [event, *args])
        self.acks = None
        answer = self._answers.pop(number, None)
        return answer[0] if answer is not None and len(answer) == 1 else answer

    def send(
        self, data: Any, json: bool = False, callback: bool = False, namespace: str | None = None
    ) -> Any:
        """Send a message to the server, which is an event with the name "message", or "json".

        Args:
            data: the message.
            json: whether the event is "json".
            callback: as in `emit`.
            namespace: as in `emit`.

        Returns:
            As `emit`.
        """
        return self.emit("json" if json else "message", data, callback=callback, namespace=namespace)

    def get_received(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return the events received since the last call, oldest first.

        Args:
            namespace: of which namespace, "/" by default.

        Returns:
            Dicts with "name", "namespace" and "args": the list of arguments, but for "message" and "json" the
            first argument itself.

        Raises:
            RuntimeError: if the client is not connected.
        """
        namespace = self._joined(namespace)
        with self._lock:
            received = [event for event in self.queue if event["namespace"] == namespace]
            self.queue = [event for event in self.queue if event["namespace"] != namespace]
        return received

    def _joined(self, namespace: str | None) -> str:
        if not self.is_connected(namespace):
            raise RuntimeError("not connected")
        return namespace or "/"

    # The way to the server

    def _environ(
        self, query_string: str | Mapping[str, Any] | None, headers: Mapping[str, str] | None
    ) -> dict[str, Any]:
        query = query_string.removeprefix("?") if isinstance(query_string, str) else query_string
        browser = self.flask_test_client
        base = None if browser is None else dict(browser.environ_base)
        builder = EnvironBuilder(
            self.app, path="/socket.io", query_string=query, headers=headers, environ_base=base
        )
        environ = builder.get_environ()
        builder.close()
        if browser is not None:
            browser._add_cookies_to_wsgi(environ)  # noqa: SLF001 (Werkzeug shows its cookies in no other way)
        return {**environ, "flask.app": self.app}

    def _shake_hands(self, environ: dict[str, Any]) -> None:
        connection, server = self._connection, self.socketio.runtime
        if connection is None or connection.session.closed or connection.server is not server:
            self._connection = connection = _TestConnection(self, server, environ)
            self.eio_sid = connection.session.sid
            return
        connection.environ = environ
        connection.context = None
        for client in connection.clients.values():
            client.context = None

    def _submit(self, type: int, namespace: str, number: int | None, data: Any) -> None:
        """Send a packet, let it be handled, and raise what went wrong with any test client meanwhile."""
        check_packet(type, data)
        connection = self._connection
        assert connection is not None
        token = _in_call.set(True)
        try:
            connection.submit(type, namespace, number, data)
            _raise_first_error(connection.server)
        finally:
            _in_call.reset(token)
            self._settle()

    def _settle(self) -> None:
        """Leave nothing behind in the server when the client has left its last namespace."""
        if self._connection is not None and not any(self.connected.values()) and not _in_call.get():
            self._connection.hang_up()

    # The way from the server

    def _receive(self, packet: Packet) -> None:
        type, namespace, number, data = packet
        if type == EVENT:
            name, *arguments = data
            args = next(iter(arguments), None) if name in MESSAGES else arguments
            self.queue.append({"name": name, "args": args, "namespace": namespace})
            if number is not None:
                self._answer(namespace, number, name, arguments)
        elif type == ACK:
            self._answers[number] = data
            self.acks = {"args": data, "namespace": namespace}
        elif type == CONNECT:
            self.connected[namespace] = True
        else:
            self.connected[namespace] = False
            if type == CONNECT_ERROR:
                self.refused[namespace] = data

    def _answer(self, namespace: str, number: int, event: str, arguments: list[Any]) -> None:
        connection = self._connection
        assert connection is not None
        function = self.acknowledge.get(event)
        if function is None:
            connection.give_up(namespace, number, UNANSWERED)
            return
        try:
            connection.submit(ACK, namespace, number, answer_arguments(function(*arguments)))
        except BaseException as error:
            if not _in_call.get():
                raise
            connection.transport.raise_later(error)

    def _lost(self) -> None:
        self.connected = dict.fromkeys(self.connected, False)


class _TestConnection(MemoryConnection):
    """The connection of a test client, which is told at once what the server sends."""

    __slots__ = ("_owner_client", "server")

    def __init__(self, client: SocketIOTestClient, server: Server, environ: dict[str, Any]) -> None:
        super().__init__(server, environ)
        self.server = server
        self._owner_client = client

    def send(self, message: Message) -> None:
        client = self._owner_client
        with client._lock:  # noqa: SLF001 (the two are one thing in two classes)
            super().send(message)
            received = self.transport.received
            while received:
                client._receive(received.popleft())  # noqa: SLF001

    def close(self, change: SessionInput, code: int, reason: str | None = None) -> None:
        super().close(change, code, reason)
        self._owner_client._lost()  # noqa: SLF001

    def give_up(self, namespace: str, number: int, why: str) -> None:
        """Let the server know that nobody will acknowledge an event."""
        client = self.clients[namespace]
        ack = (client.acks or {}).pop(number, None)
        if ack is not None:
            ack.lose(client, why)


def _raise_first_error(server: Server) -> None:
    for connection in tuple(server.connections.values()):
        if isinstance(connection, MemoryConnection) and connection.transport.errors:
            error = connection.transport.errors[0]
            connection.transport.errors.clear()
            raise error
