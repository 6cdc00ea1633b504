"""Servers for tests: one application on loopback in a thread, with a record of what its handlers saw."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from raw import Client, opened

from carboy.config import Config
from carboy.front.embedded import EmbeddedServer
from carboy.runtime.handlers import Handler
from carboy.runtime.server import Server

SECONDS = 20.0
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


def make_server(**options: Any) -> Server:
    """Make a server that answers `echo`, and holds what arrives under `tell`."""
    return Server(Config.from_options({"cors_allowed_origins": "*", **options}))


def on(server: Server, event: str, function: Callable[..., Any]) -> None:
    """Register a handler that gets the client and the arguments."""
    server.handlers.register(
        "/", event, Handler(function, lambda client, _, arguments: function(client, *arguments))
    )


class Site:
    """A server at work.

    Attributes:
        server: the Socket.IO server.
        embedded: what serves it.
        address: the port, or the path of the Unix socket.
        seen: what the handlers were given, in their order.
        thread: where it runs.
    """

    def __init__(self, server: Server, **options: Any) -> None:
        self.server = server
        self.seen: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self._started = threading.Event()
        self.address: int | str = options.get("uds") or 0
        on(server, "connect", lambda client, environ, auth: self.seen.put(("connect", environ)))
        on(server, "disconnect", lambda client, reason: self.seen.put(("disconnect", reason)))
        on(server, "echo", lambda client, *arguments: arguments)
        on(server, "tell", lambda client, *arguments: self.seen.put(("tell", *arguments)))
        wsgi = options.pop("application", application)
        self.embedded = EmbeddedServer(server, wsgi, **{"port": 0, **options}, started=self._listening)
        self.thread = threading.Thread(target=self._run, name="site")

    def start(self) -> None:
        """Start, and wait until it listens."""
        self.thread.start()
        if not self._started.wait(SECONDS) and self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Stop, and wait for the end."""
        self.embedded.stop()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive(), "the server did not stop"

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the loop's thread and return what it returns."""
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.server.hub.loop.call_soon_threadsafe(lambda: answer.put(function(*arguments)))
        return answer.get(timeout=SECONDS)

    def wait_until(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
        """Wait for something that becomes true in the loop's thread."""
        deadline = time.monotonic() + seconds
        while not self.call(condition):
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            time.sleep(0.002)

    def next_seen(self) -> tuple[Any, ...]:
        """Wait for what a handler was given next."""
        return self.seen.get(timeout=SECONDS)

    def reason(self) -> str:
        """Wait for a disconnect handler, and return the reason that it was given."""
        while True:
            kind, *rest = self.next_seen()
            if kind == "disconnect":
                return str(rest[0])

    def forget(self) -> None:
        """End what earlier tests left open, and drop what the handlers saw."""
        self.call(self._end_all)
        while self.call(self._is_busy):
            pass
        while not self.seen.empty():
            self.seen.get()

    def _end_all(self) -> None:
        for connection in tuple(self.server.connections.values()):
            connection.transport_lost(connection.transport, "the test is over")

    def _is_busy(self) -> bool:
        hub = self.server.hub
        if hub.threads.active:  # what a job has put into the outbox is there once it has ended
            return True
        return bool(self.server.connections or self.server.lifecycle.leaving or hub.outbox.pending)

    def client(self, **options: Any) -> Client:
        """Open a connection."""
        return Client(self.address, **options)

    def websocket(self, *, join: bool = True, **options: Any) -> Client:
        """Open a websocket with a session of its own, in the namespace "/"."""
        client = self.client(**options)
        assert client.upgrade(WEBSOCKET).status == 101
        client.session = opened(client.read_text())  # type: ignore[attr-defined]
        if join:
            client.send_text("40")
            while (answer := client.read_text()) == "2":  # under a hasty heartbeat
                client.send_text("3")
            assert answer.startswith("40{")
        return client

    def polling(self, client: Client) -> str:
        """Open a session over polling, in the namespace "/", and return the target of its requests."""
        sid = opened(client.request("GET", POLLING).body)["sid"]
        target = f"{POLLING}&sid={sid}"
        assert client.request("POST", target, b"40").body == b"ok"
        while (answer := client.request("GET", target).body) == b"2":  # under a hasty heartbeat
            assert client.request("POST", target, b"3").body == b"ok"
        assert answer.removeprefix(b"2\x1e").startswith(b"40{")
        return target

    def _listening(self, port: int) -> None:
        self.address = port or self.address
        self._started.set()

    def _run(self) -> None:
        try:
            self.embedded.run()
        except BaseException as error:  # noqa: BLE001  # whoever waits raises it
            self.error = error
            self._started.set()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer what is not Socket.IO's."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "nobody")
    body = f"the application: {environ['PATH_INFO']} for {forwarded}".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def serve(server: Server | None = None, **options: Any) -> Iterator[Site]:
    """Serve for the time of a block."""
    running = Site(server or make_server(), **options)
    running.start()
    if running.error is not None:
        raise running.error
    try:
        yield running
    finally:
        running.stop()
