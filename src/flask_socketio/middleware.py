"""The WSGI middleware around an application: Socket.IO below its path, Flask everywhere else.

It is the innermost middleware there is, so what others outside it make of the environment (ProxyFix, say)
holds for Socket.IO too. Where requests do not come through WSGI at all, `rewrite` sends their environment the
same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from carboy.config import SHUTDOWN_TIMEOUT
from carboy.front.wsgi import WSGIFront
from carboy.runtime.server import Server
from carboy.transports.rewriting import Reply

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CAUGHT = "carboy.caught"

OF_THE_CONNECTION = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})

INNER_NAMES = ("app", "wsgi_app", "application")
"""What middleware calls the application that it wraps."""

MAX_CHAIN = 20


class _SocketIOMiddleware:
    """Answers the requests below the Socket.IO path, and notes the application in the environ of all.

    Args:
        engineio_app: the server, as applications see it.
        flask_app: the application.
        wsgi_app: what answers all other requests.
        runtime: the server.
        shutdown_timeout: seconds that handlers are given when the process of a WSGI server ends.

    Attributes:
        engineio_app: the server, as applications see it.
        flask_app: the application.
        wsgi_app: what answers all other requests; debuggers are put around it.
        engineio_path: the path under which the server answers.
        front: what answers the requests below that path.
    """

    def __init__(
        self,
        engineio_app: Any,
        flask_app: Flask,
        wsgi_app: WSGIApplication,
        runtime: Server,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    ) -> None:
        self.engineio_app = engineio_app
        self.flask_app = flask_app
        self.wsgi_app = wsgi_app
        self.engineio_path = runtime.config.path
        self.front = WSGIFront(runtime, shutdown_timeout)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        caught = environ.get(CAUGHT)
        if caught is not None:
            caught.append(environ)
            start_response("204 No Content", [])
            return []
        environ = {**environ, "flask.app": self.flask_app}
        if self.front.handles(environ):
            return self.front(environ, start_response)
        self.front.join(environ)
        return self.wsgi_app(environ, start_response)

    @property
    def wraps(self) -> bool:
        """Whether there is middleware outside this one, through which environments have to go."""
        return self.flask_app.wsgi_app is not self

    def rewrite(self, environ: dict[str, Any]) -> dict[str, Any] | Reply:
        """Sends an environment that did not come over WSGI through the middleware outside this one.

        Args:
            environ: the WSGI environment of a handshake.

        Returns:
            What it has become, or the reply of a middleware that answers itself.
        """
        if not self.wraps:
            return {**environ, "flask.app": self.flask_app}
        caught: list[dict[str, Any]] = []
        answered: list[tuple[str, list[tuple[str, str]]]] = []
        written = bytearray()

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            answered.append((status, headers))
            return written.extend  # the `write` of PEP 3333

        body = self.flask_app.wsgi_app({**environ, CAUGHT: caught}, start_response)
        try:
            for part in body:
                written += part
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        if caught:
            kept = {name: value for name, value in caught[0].items() if name != CAUGHT}
            return {**kept, "flask.app": self.flask_app}
        status, headers = answered[-1] if answered else ("500 Internal Server Error", [])
        rest = [(name, value) for name, value in headers if name.lower() not in OF_THE_CONNECTION]
        return Reply(int(status.split(" ", 1)[0]), rest, bytes(written))


def find_early_proxy_fix(wsgi_app: Any) -> bool:
    """Return whether a ProxyFix stands behind this middleware, where it sees nothing of Socket.IO."""
    seen = 0
    while wsgi_app is not None and seen < MAX_CHAIN:
        if isinstance(wsgi_app, ProxyFix):
            return True
        wsgi_app = next(filter(None, (getattr(wsgi_app, name, None) for name in INNER_NAMES)), None)
        seen += 1
    return False
