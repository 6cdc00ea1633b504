"""WSGI servers for tests: Werkzeug's with its socket shown, or hidden the way other servers do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import serving
from raw import Client
from werkzeug.serving import WSGIRequestHandler, make_server

from carboy.front.wsgi import WSGIFront


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *args: Any) -> None:
        """Say nothing."""


class Site:
    """A front behind a server of Werkzeug's.

    Attributes:
        server: the Socket.IO server.
        front: its WSGI face.
        port: where it listens.
        environs: what requests brought.
        seen: what the handlers were given.
    """

    def __init__(self, change: Callable[[dict[str, Any]], None], tls: Any, **options: Any) -> None:
        self.server = serving.make_server(**options)
        self.seen: list[tuple[Any, ...]] = []
        serving.on(
            self.server, "connect", lambda client, environ, auth: self.seen.append(("connect", environ))
        )
        serving.on(self.server, "disconnect", lambda client, reason: self.seen.append(("disconnect", reason)))
        serving.on(self.server, "echo", lambda client, *arguments: arguments)
        self.front = WSGIFront(self.server, shutdown_timeout=2)

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            change(environ)
            return self.front(environ, start_response)

        self.web = make_server("127.0.0.1", 0, application, True, request_handler=_Handler, ssl_context=tls)
        self.port = self.web.server_port

    def client(self, **options: Any) -> Client:
        """Open a connection."""
        return Client(self.port, **options)


@contextmanager
def serve(
    change: Callable[[dict[str, Any]], None] = lambda environ: None, tls: Any = None, **options: Any
) -> Iterator[Site]:
    """Serve for the time of a block."""
    site = Site(change, tls, **options)
    thread = threading.Thread(target=site.web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.front.hub.stop()
        site.web.shutdown()
        thread.join()
        site.web.server_close()


def hide_socket(environ: dict[str, Any]) -> None:
    """Make the environment that of a server like waitress or mod_wsgi."""
    del environ["werkzeug.socket"]
    environ["mod_wsgi.version"] = (5, 0, 0)
