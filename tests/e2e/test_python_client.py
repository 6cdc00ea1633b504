"""The Python client of the registry's python-socketio (not ours) against the server."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import javascript
import ordered_client
import pytest
import servers

SECONDS = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """The application that the client talks to."""
    if ordered_client.socketio is None:
        javascript.missing("python-socketio is not installed, no Python client was run")
    with servers.serve("python_client.py") as running:
        yield running


def note(client: Any, event: str, *args: Any) -> None:
    """Queue what a client receives."""
    client.received.put([event, *args])


@pytest.fixture(params=["websocket", "polling", "upgrade"])
def connect(request: pytest.FixtureRequest, server: servers.Server) -> Iterator[Callable[..., Any]]:
    """A function that connects a client over one transport; it queues what it receives in `received`."""
    transports = ["polling", "websocket"] if request.param == "upgrade" else [request.param]
    clients: list[Any] = []

    def connect_client(*namespaces: str, **options: Any) -> Any:
        client = ordered_client.OrderedClient(reconnection=False)
        clients.append(client)
        client.received = queue.Queue()
        for namespace in namespaces or ("/",):
            client.on("*", partial(note, client), namespace=namespace)
            client.on("disconnect", partial(note, client, "disconnect"), namespace=namespace)
        options = {"transports": transports, "wait_timeout": SECONDS, **options}
        client.connect(server.url, namespaces=list(namespaces) or None, **options)
        assert client.transport() == transports[-1]
        return client

    yield connect_client
    for client in clients:
        client.disconnect()


def test_python_client_connects_with_credentials(connect: Callable[..., Any]) -> None:
    """Its credentials reach the connect handler, and what that emits reaches the client."""
    client = connect(auth={"token": "a"})
    assert client.received.get(timeout=SECONDS) == ["welcome", {"token": "a"}]


def test_python_client_is_refused(connect: Callable[..., Any]) -> None:
    """A refusal in the connect handler is a connection error of the client."""
    with pytest.raises(ordered_client.socketio.exceptions.ConnectionError):
        connect("/refused")


def test_python_client_emits_and_receives(connect: Callable[..., Any]) -> None:
    """Events go both ways, with no, one and several arguments."""
    client = connect()
    client.received.get(timeout=SECONDS)
    client.emit("echo", ("one", [2], {"three": None}))
    assert client.received.get(timeout=SECONDS) == ["echo", "one", [2], {"three": None}]
    client.send("text")
    assert client.received.get(timeout=SECONDS) == ["message", "text"]


def test_python_client_calls_and_is_called(connect: Callable[..., Any]) -> None:
    """Each side may ask the other and wait for the answer."""
    client = connect()
    assert client.call("echo", ("one", 2), timeout=SECONDS) == ("one", 2)
    client.on("question", lambda data: data + b"\x02")
    assert client.call("ask", timeout=SECONDS) == b"\x01\x02"


def test_python_client_sends_and_receives_bytes(connect: Callable[..., Any]) -> None:
    """Bytes arrive unchanged, alone and among other values."""
    client = connect()
    data = {"a": [b"", b"\x00\xff"], "b": bytes(range(256)) * 400}
    assert client.call("echo", data, timeout=SECONDS) == data
    assert client.call("echo", b"bytes", timeout=SECONDS) == b"bytes"


def test_python_client_uses_namespaces(connect: Callable[..., Any]) -> None:
    """Two namespaces share the connection, each with its own sid."""
    client = connect("/", "/other")
    assert client.call("who", namespace="/other", timeout=SECONDS) == ["/other", client.get_sid("/other")]
    assert client.call("echo", 1, timeout=SECONDS) == 1
    assert client.get_sid("/") != client.get_sid("/other")


def test_python_client_disconnects(connect: Callable[..., Any], server: servers.Server) -> None:
    """The server is told when the client leaves, and the client when it is sent away."""
    client = connect()
    client.received.get(timeout=SECONDS)
    client.emit("leave")
    assert client.received.get(timeout=SECONDS) == ["disconnect", "server disconnect"]
    connect().disconnect()
