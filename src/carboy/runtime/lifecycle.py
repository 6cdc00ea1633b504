"""How a client of a namespace comes and goes: CONNECT, verdict, DISCONNECT, and the handlers of both.

A client that was not accepted runs no event and receives nothing. One that was accepted gets exactly one
disconnect handler, also when it left while its connect handler ran.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from carboy.adapters.local import LocalAdapter
from carboy.config import Config
from carboy.engineio.sids import generate_sid
from carboy.exceptions import ConnectionRefusedError, PacketError
from carboy.runtime.acks import lose_acks
from carboy.runtime.client import CONNECTED, CONNECTING, Client
from carboy.runtime.connection import Connection
from carboy.runtime.events import Events
from carboy.runtime.handlers import ANY, Handlers
from carboy.runtime.hub import Hub
from carboy.runtime.jobs import Jobs
from carboy.runtime.log import TEXT, Log
from carboy.runtime.message import Message
from carboy.socketio.packets import CONNECT, CONNECT_ERROR, DISCONNECT, Codec
from carboy.socketio.states import ClientInput, ClientState

REFUSED = {"message": "Connection rejected by server"}
UNKNOWN_NAMESPACE = {"message": "Invalid namespace"}
TOO_MANY_NAMESPACES = {"message": "Too many namespaces"}

CLIENT_DISCONNECT = "client disconnect"
SERVER_DISCONNECT = "server disconnect"


class Lifecycle:
    """Accepts and refuses clients, and takes leave of them.

    All in the loop's thread, or the caller's for in-memory clients.

    Args:
        config: the options.
        hub: whose outbox carries verdicts.
        adapter: the membership.
        handlers: the connect and disconnect handlers.
        jobs: runs them.
        codec: encodes the packets.
        events: reports exceptions.
        log: tells of progress.

    Attributes:
        leaving: the clients whose disconnect handlers run, by namespace and id.
        name: what the ids of clients begin with.
    """

    def __init__(
        self,
        config: Config,
        hub: Hub,
        adapter: LocalAdapter[Client],
        handlers: Handlers,
        jobs: Jobs,
        codec: Codec,
        events: Events,
        log: Log,
    ) -> None:
        self._config = config
        self._hub = hub
        self._adapter = adapter
        self._handlers = handlers
        self._jobs = jobs
        self._codec = codec
        self._events = events
        self._log = log
        self.leaving: dict[tuple[str, str], Client] = {}
        self._waiters: dict[Client, list[Callable[[], object]]] = {}
        self.name = ""

    def connect(self, connection: Connection, namespace: str, auth: Any) -> None:
        """Takes a CONNECT packet.

        Raises:
            PacketError: if the namespace was joined already.
        """
        if connection.session.closed:
            return  # it came in one go with what ended the session
        present = connection.clients.get(namespace)
        if present is not None and (present.state is CONNECTED or present.state is CONNECTING):
            raise PacketError(f"a second CONNECT for the namespace {namespace[:50]!r}")
        error = self._refusal(connection, namespace)
        if error is not None:
            if self._log.progress:
                self._log.info(f"A client was refused in {TEXT}: %s", namespace, error["message"])
            connection.send(self._message(CONNECT_ERROR, namespace, error))
            return
        client = Client(generate_sid(self.name), namespace, connection, self._config.max_output_bytes)
        connection.clients[namespace] = client
        self._adapter.add(client)
        if self._config.always_connect:
            connection.send(self._message(CONNECT, namespace, {"sid": client.sid}))
            client.open()
        found = self._handlers.find(namespace, "connect")
        if found is None:
            self._decide(client, None)
        else:
            arguments = (connection.environ, auth or None)
            self._jobs.start(client, found[0], "connect", arguments, self._connected)

    def hold(self, client: Client, number: int | None, data: list[Any]) -> None:
        """Keeps an event of a client that was told it is accepted before it is (`always_connect`)."""
        client.early = client.early or []
        client.early.append((number, data))
        client.connection.held += 1
        client.connection.review()

    def disconnect(self, client: Client, reason: str, tell: bool) -> None:
        """Takes a client out of its namespace, which other namespaces of its connection do not notice.

        Args:
            client: the client; one that has left already is left alone.
            reason: what its disconnect handler is told.
            tell: whether the client gets a DISCONNECT packet, since it is the server that ends it.
        """
        if tell:
            client.dismissed = True
        if client.state is CONNECTED:
            if tell:
                client.send(self._message(DISCONNECT, client.namespace, None))
            client.move(ClientInput.LEAVE)
            self._take_leave(client, reason)
        elif client.state is CONNECTING and not tell:
            client.left = reason
            client.move(ClientInput.LEAVE)
            client.drop_held()
            lose_acks(client)  # its connect handler may wait for one of them

    def tell_when_gone(self, client: Client, tell: Callable[[], object]) -> None:
        """Calls a function when a client that is leaving has left; at once if it is not.

        Args:
            client: the client.
            tell: the function.
        """
        if (client.namespace, client.sid) in self.leaving:
            self._waiters.setdefault(client, []).append(tell)
        else:
            tell()

    def connection_closed(self, connection: Connection, reason: str) -> None:
        """Takes leave of every client of a connection that is over."""
        for client in tuple(connection.clients.values()):
            self.disconnect(client, reason, False)

    # The verdict

    def _refusal(self, connection: Connection, namespace: str) -> dict[str, str] | None:
        accepted = self._config.namespaces
        if namespace not in accepted and ANY not in accepted and not self._handlers.accepts(namespace):
            return UNKNOWN_NAMESPACE
        clients = connection.clients
        if namespace not in clients and len(clients) >= self._config.max_namespaces:
            for name in [name for name, client in clients.items() if client.state is ClientState.GONE]:
                del clients[name]
            if len(clients) >= self._config.max_namespaces:
                connection.tell_bound("max_namespaces", "asks for too many namespaces")
                return TOO_MANY_NAMESPACES
        return None

    def _connected(self, client: Client, token: Any, result: Any, error: BaseException | None) -> None:
        """Reads the verdict from what the connect handler returned or raised; in the handler's thread."""
        refusal: dict[str, Any] | None = REFUSED if result is False else None
        if error is not None:
            refusal = refusal_data(error)
            if refusal is None:
                refusal = REFUSED
                self._events.report(client, "connect", error)
        if client.connection.inline:
            self._decide(client, refusal)
        else:
            self._hub.outbox.put(self._decide, client, refusal)

    def _decide(self, client: Client, refusal: dict[str, Any] | None) -> None:
        if refusal is None and client.dismissed:
            refusal = REFUSED
        left = client.state is not CONNECTING
        if refusal is not None:
            self._refuse(client, refusal, tell=not left)
            return
        if not left and not self._config.always_connect:
            client.connection.send(self._message(CONNECT, client.namespace, {"sid": client.sid}))
        client.move(ClientInput.ACCEPT)
        self._tell(client, "has joined %r over %s", client.connection.session.transport)
        if not left:
            client.connection.joined()
            client.release()
        for number, data in self._take_early(client):
            self._events.receive(client, number, data)
        if client.connection.paused:  # nothing may have come of them that would say when they are done
            client.connection.review()
        if left:
            self._take_leave(client, client.left or CLIENT_DISCONNECT)

    def _refuse(self, client: Client, refusal: dict[str, Any], *, tell: bool) -> None:
        self._tell(client, "was refused in %r: %s", refusal.get("message", refusal))
        client.drop_held()
        connection = client.connection
        if self._take_early(client) and connection.paused:
            connection.review()
        if tell and self._config.always_connect:
            connection.send(self._message(DISCONNECT, client.namespace, None))
        elif tell:
            connection.send(self._refusal_message(client, refusal))
            del connection.clients[client.namespace]  # it was never told that it may send anything
        client.move(ClientInput.REFUSE)
        self._forget(client)

    def _refusal_message(self, client: Client, refusal: dict[str, Any]) -> Message:
        try:
            return self._message(CONNECT_ERROR, client.namespace, refusal)
        except Exception as error:  # noqa: BLE001 (the data are the application's, and what encodes them may be)
            self._events.report(client, "connect", error)
            return self._message(CONNECT_ERROR, client.namespace, REFUSED)

    def _take_early(self, client: Client) -> list[tuple[int | None, list[Any]]]:
        early, client.early = client.early or [], None
        client.connection.held -= len(early)
        return early

    # The end

    def _take_leave(self, client: Client, reason: str) -> None:
        """Runs the disconnect handler of a client that is now leaving."""
        self._tell(client, "has left %r: %s", reason)
        # First this and then that, so that other threads find the client in one of the two at any time.
        self.leaving[client.namespace, client.sid] = client
        self._adapter.discard(client)
        lose_acks(client)
        self._run_disconnect_handler(client, reason)

    def _run_disconnect_handler(self, client: Client, reason: str) -> None:
        found = self._handlers.find(client.namespace, "disconnect")
        if found is None:
            self._finish(client)
        else:
            self._jobs.start(client, found[0], "disconnect", (reason,), self._disconnected)

    def _disconnected(self, client: Client, token: Any, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self._events.report(client, "disconnect", error)
        if client.connection.inline:
            self._finish(client)
        else:
            self._hub.outbox.put(self._finish, client)

    def _finish(self, client: Client) -> None:
        client.move(ClientInput.FINISH)
        self._forget(client)

    def _forget(self, client: Client) -> None:
        self._adapter.discard(client)
        self.leaving.pop((client.namespace, client.sid), None)
        lose_acks(client)
        client.context = None
        for tell in self._waiters.pop(client, ()):
            tell()

    def _tell(self, client: Client, what: str, detail: Any) -> None:
        """Tells of a step in a client's life; the text has places for the namespace and the detail."""
        if self._log.progress:
            self._log.info(f"Client %s {what}", client.sid, client.namespace, detail)

    def _message(self, type: int, namespace: str, data: Any) -> Message:
        return Message(*self._codec.encode(type, namespace, None, data, b"4"))


def refusal_data(error: BaseException) -> dict[str, Any] | None:
    """Returns the payload of a refusal, or None if the exception is none.

    An exception of python-socketio counts too, because applications import it from there; the builtin of that
    name does not: it tells that some other server refused the application.

    Args:
        error: what the connect handler raised.
    """
    if isinstance(error, ConnectionRefusedError):
        return error.error_args
    data = getattr(error, "error_args", None)
    if type(error).__name__ == ConnectionRefusedError.__name__ and data is not None:
        return data if isinstance(data, dict) else {"message": str(data)}
    return None
