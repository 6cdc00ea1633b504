"""The WSGI middleware that `init_app` puts around an application: Socket.IO below its path, Flask everywhere else.

It is the innermost middleware there is, so what others outside it make of the environment (ProxyFix, say) holds for Socket.IO
too. Where requests do not come through WSGI at all, `rewrite` sends their environment the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

from carboy.front.wsgi import WSGIFront
from carboy.runtime.server import Server
from carboy.transports.endpoint import Reply

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CAUGHT = "carboy.caught"


class _SocketIOMiddleware:
    """Answers the requests below the Socket.IO path, and notes in the environ of all which application took them.

    Args:
        engineio_app: the server, as applications see it.
        flask_app: the application.
        wsgi_app: what answers all other requests.
        runtime: the server.

    Attributes:
        engineio_app: the server, as applications see it.
        flask_app: the application.
        wsgi_app: what answers all other requests; debuggers are put around it.
        engineio_path: the path under which the server answers.
        front: what answers the requests below that path.
    """

    def __init__(self, engineio_app: Any, flask_app: Flask, wsgi_app: WSGIApplication, runtime: Server) -> None:
        self.engineio_app = engineio_app
        self.flask_app = flask_app
        self.wsgi_app = wsgi_app
        self.engineio_path = runtime.config.path
        self.front = WSGIFront(runtime)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        caught = environ.get(CAUGHT)
        if caught is not None:
            caught.append(environ)
            start_response("204 No Content", [])
            return []
        environ = {**environ, "flask.app": self.flask_app}
        if self.front.handles(environ):
            return self.front(environ, start_response)
        return self.wsgi_app(environ, start_response)

    def rewrite(self, environ: dict[str, Any]) -> dict[str, Any] | Reply:
        """Sends an environment that did not come over WSGI through the middleware outside this one.

        Args:
            environ: the WSGI environment of a handshake.

        Returns:
            What it has become, or the reply of a middleware that answers itself.
        """
        outermost = self.flask_app.wsgi_app
        if outermost is self:
            return environ
        caught: list[dict[str, Any]] = []
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answered.append((status, headers))
            return bytearray().extend  # the `write` of PEP 3333, whose bytes nobody needs here

        body = outermost({**environ, CAUGHT: caught}, start_response)
        try:
            content = b"".join(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        if caught:
            return {name: value for name, value in caught[0].items() if name != CAUGHT}
        status, headers = answered[-1] if answered else ("500 Internal Server Error", [])
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        return Reply(int(status.split(" ", 1)[0]), kept, content)
