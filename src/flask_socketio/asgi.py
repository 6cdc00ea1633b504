"""The application for ASGI servers: Socket.IO below its path, Flask everywhere else, on a few threads."""

from __future__ import annotations

from typing import Any

from flask import Flask

from carboy.front.asgi import ASGIApplication, Receive, Scope, Send
from carboy.runtime.server import Server

from .middleware import _SocketIOMiddleware


def create_asgi_app(
    app: Flask, runtime: Server, middleware: _SocketIOMiddleware, http_threads: int, shutdown_timeout: float
) -> ASGIApplication:
    """Make the application for an ASGI server.

    Args:
        app: the application, as it will be when requests come: with all middleware around it.
        runtime: the Socket.IO server.
        middleware: through which the environments of handshakes go.
        http_threads: threads for Flask.
        shutdown_timeout: seconds that handlers are given at the end.
    """
    # Here, since only this kind of server needs it.
    from a2wsgi import WSGIMiddleware  # noqa: PLC0415

    wsgi: Any = WSGIMiddleware(app, workers=http_threads)  # type: ignore[arg-type]  # two spellings of WSGI

    async def flask(scope: Scope, receive: Receive, send: Send) -> None:
        async def hear() -> Any:
            return await receive()

        async def tell(message: Any) -> None:
            await send(message)

        # Coroutine functions, as a2wsgi wants them; what servers bring may be other kinds of callables.
        await wsgi(scope, hear, tell)

    return ASGIApplication(runtime, flask, shutdown_timeout, middleware)
