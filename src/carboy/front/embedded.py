"""The embedded server: uvicorn for HTTP, TLS and signals, the fast lane for websockets, the application's WSGI beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from a2wsgi import WSGIMiddleware

from carboy.front.asgi import ASGIApplication
from carboy.front.websocket_door import websocket_class
from carboy.runtime.draining import drain
from carboy.runtime.server import Server


class EmbeddedServer:
    """Serves one Socket.IO server and one WSGI application on one address.

    Args:
        server: the Socket.IO server.
        wsgi_app: what answers everything outside its path.
        host: the address to listen on.
        port: the port; 0 for any that is free.
        uds: the path of a Unix socket to listen on instead.
        http_threads: threads for the WSGI application.
        shutdown_timeout: seconds that handlers, requests and clients are given at a stop.
        access_log: whether every request is logged.
        started: called once with the port when the server listens.
        options: further options of `uvicorn.Config`, TLS among them.
    """

    def __init__(
        self,
        server: Server,
        wsgi_app: Callable[..., Any],
        *,
        host: str = "127.0.0.1",
        port: int = 5000,
        uds: str | None = None,
        http_threads: int = 10,
        shutdown_timeout: float = 10.0,
        access_log: bool = False,
        ssl_context: Any = None,
        started: Callable[[int], None] | None = None,
        options: dict[str, Any] | None = None,
        **tls: Any,
    ) -> None:
        http: Any = WSGIMiddleware(wsgi_app, workers=http_threads)
        application = ASGIApplication(server, http)
        settings: dict[str, Any] = {
            "host": host,
            "port": port,
            "uds": uds,
            "ws": websocket_class(server, application.endpoint),
            "http": "httptools",
            "lifespan": "off",  # draining starts before the connections are closed, see _Uvicorn
            "log_level": "warning",
            "access_log": access_log,
            "proxy_headers": False,  # ProxyFix, where the application puts it on, is the one source of such addresses
            "server_header": False,
            "timeout_graceful_shutdown": max(1, int(shutdown_timeout)),
            **tls,
            **(options or {}),
        }
        if access_log:
            settings["log_level"] = "info"
        config = uvicorn.Config(application, **settings)
        if ssl_context is not None:
            config.load()
            config.ssl = ssl_context
        self._uvicorn = _Uvicorn(config, server, shutdown_timeout, started)

    def run(self) -> None:
        """Serves until it is stopped by `stop`, SIGINT or SIGTERM; where a loop runs already, in a thread of its own."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._serve()
            return
        thread = threading.Thread(target=self._serve, name="carboy-server")
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.2)
        except KeyboardInterrupt:
            self.stop()
            thread.join()

    def stop(self) -> None:
        """Begins to stop, from any thread; `run` returns when all is done."""
        self._uvicorn.should_exit = True

    def _serve(self) -> None:
        factory = self._uvicorn.config.get_loop_factory()
        loop = factory() if factory is not None else asyncio.new_event_loop()
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self._uvicorn.serve())
        finally:
            asyncio.set_event_loop(None)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which drains ours before it closes connections, and lets the code after `run()` run."""

    def __init__(
        self, config: uvicorn.Config, server: Server, timeout: float, started: Callable[[int], None] | None
    ) -> None:
        super().__init__(config)
        self._server = server
        self._timeout = timeout
        self._when_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._server.hub.attach(asyncio.get_running_loop())
        await super().startup(sockets)
        if self.started and self._when_started is not None:
            name = self.servers[0].sockets[0].getsockname()
            self._when_started(name[1] if isinstance(name, tuple) else 0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await drain(self._server, self._timeout)
        await super().shutdown(sockets)
        self._server.hub.detach()

    def _log_started_message(self, listeners: Any) -> None:
        """Says nothing: whoever called `run` prints the address."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops on signals, but does not raise them again: code after `run()` is to run."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


