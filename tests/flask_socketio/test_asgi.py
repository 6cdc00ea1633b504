"""The application for ASGI servers."""

from __future__ import annotations

import asyncio

import pytest

from flask_socketio import SocketIO


class Callable:
    """A channel that is called, and whose result is awaited, without being a coroutine function."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments):
        """Return something that can be awaited."""
        future = asyncio.get_running_loop().create_future()
        future.set_result(self.function(*arguments))
        return future


def test_flask_is_served_beside_it_whatever_kind_the_channels_are(app, socketio):
    """Some servers bring functions that return futures."""

    @app.post("/length")
    def length():
        from flask import request

        return str(len(request.get_data()))

    sent = []
    scope = {"type": "http", "method": "POST", "path": "/length", "query_string": b"", "headers": []}
    scope["http_version"] = "1.1"
    scope["headers"].append((b"content-length", b"3"))
    receive = Callable(lambda: {"type": "http.request", "body": b"abc", "more_body": False})
    asyncio.run(socketio.asgi_app(scope, receive, Callable(sent.append)))
    assert sent[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in sent) == b"3"


def test_it_is_always_the_same(app, socketio):
    """A server that asks twice serves one."""
    assert socketio.asgi_app is socketio.asgi_app


def test_it_needs_an_application():
    """The error says what to call."""
    with pytest.raises(RuntimeError, match=r"init_app\(app\)"):
        SocketIO().asgi_app  # noqa: B018
