"""The embedded server: uvicorn for HTTP, TLS and signals, the fast lane, and the application's WSGI."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from time import monotonic
from typing import Any

import uvicorn
from a2wsgi import WSGIMiddleware

from carboy.config import HTTP_THREADS, SHUTDOWN_TIMEOUT
from carboy.front.accepting import Accepting
from carboy.front.asgi import ASGIApplication
from carboy.front.background import cancel_all
from carboy.front.green_threads import refuse_green_threads
from carboy.front.http_protocol import http_class
from carboy.front.websocket_door import WebSocketDoor
from carboy.front.workers.masters import Master
from carboy.runtime.draining import drain
from carboy.runtime.server import Server
from carboy.transports.rewriting import Middleware

TICK = 0.02

CLOSE_TIMEOUT = 1.0
"""Seconds that peers are given at a stop to answer a close frame, and to take the end of an answer."""


class EmbeddedServer:
    """Serves one Socket.IO server and one WSGI application on one address, once.

    Args:
        server: the Socket.IO server.
        wsgi_app: what answers everything outside its path.
        host: the address to listen on.
        port: the port; 0 for any that is free.
        uds: the path of a Unix socket to listen on instead.
        http_threads: threads for the WSGI application.
        shutdown_timeout: seconds that handlers, requests and clients are given at a stop.
        access_log: whether every request is logged.
        ssl_context: an `ssl.SSLContext` to serve TLS with; or give `ssl_certfile` and the like.
        started: called once with the port when the server listens.
        middleware: the WSGI middleware around the application, for handshakes.
        master: what this process has in common with other workers, if there are any.
        options: further options of `uvicorn.Config`, TLS among them.
        **tls: options of `uvicorn.Config` that begin with `ssl_`.
    """

    def __init__(
        self,
        server: Server,
        wsgi_app: Callable[..., Any],
        *,
        host: str = "127.0.0.1",
        port: int = 5000,
        uds: str | None = None,
        http_threads: int = HTTP_THREADS,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        access_log: bool = False,
        ssl_context: Any = None,
        started: Callable[[int], None] | None = None,
        middleware: Middleware | None = None,
        master: Master | None = None,
        options: dict[str, Any] | None = None,
        **tls: Any,
    ) -> None:
        self._server = server
        self._wsgi = WSGIMiddleware(wsgi_app, workers=http_threads)
        other: Any = self._wsgi
        application = ASGIApplication(server, other, middleware=middleware, alone=True)
        accepting = Accepting(server.log)
        settings: dict[str, Any] = {
            "host": host,
            "port": port,
            "uds": uds,
            "ws": WebSocketDoor,  # which the class for HTTP makes itself
            "http": http_class(server, application.endpoint, accepting.accepted),
            "lifespan": "off",  # draining starts before the connections are closed, see _Uvicorn
            "log_level": "info" if access_log else "warning",
            "access_log": access_log,
            "proxy_headers": False,  # ProxyFix, where the application puts it on, is their one source
            "server_header": False,
            **tls,
            **(options or {}),
        }
        config = uvicorn.Config(application, **settings)
        if ssl_context is not None:
            config.load()
            config.ssl = ssl_context
        self._uvicorn = _Uvicorn(config, server, application, accepting, shutdown_timeout, started, master)
        self._sockets: list[socket.socket] | None = None
        self._error: BaseException | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until `stop`, SIGINT or SIGTERM; where a loop runs already, in a thread of its own.

        Args:
            sockets: where it listens, in place of the address.

        Raises:
            OSError: if it cannot listen on the address.
            ConfigurationError: if green threads have replaced real ones.
        """
        refuse_green_threads()
        self._sockets = sockets
        if _is_loop_running_here():
            self._serve_in_thread()
        else:
            self._serve()

    def stop(self) -> None:
        """Begins to stop, from any thread; `run` returns when all is done, at once if it comes after this."""
        self._uvicorn.should_exit = True

    def _serve_in_thread(self) -> None:
        thread = threading.Thread(target=self._serve_and_keep_error, name="carboy-server")
        thread.start()
        with self._uvicorn.capture_signals():  # the loop that runs already may have its own idea of Ctrl+C
            while thread.is_alive():
                thread.join(TICK)
        if self._error is not None:
            raise self._error

    def _serve_and_keep_error(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001  # it is raised in the caller's thread
            self._error = error

    def _serve(self) -> None:
        self._server.listen()
        factory = self._uvicorn.config.get_loop_factory()
        loop = factory() if factory is not None else asyncio.new_event_loop()
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self._uvicorn.serve(self._sockets))
        finally:
            try:
                cancel_all(loop)
            finally:
                asyncio.set_event_loop(None)
                loop.close()
            self._wsgi.executor.shutdown(wait=False)


class _Uvicorn(uvicorn.Server):
    """uvicorn's server; it drains ours before it closes connections, and lets the code after `run` go on."""

    def __init__(
        self,
        config: uvicorn.Config,
        server: Server,
        application: ASGIApplication,
        accepting: Accepting,
        timeout: float,
        started: Callable[[int], None] | None,
        master: Master | None,
    ) -> None:
        super().__init__(config)
        self._server = server
        self._endpoint = application.endpoint
        self._group = application.group
        self._master = master
        self._accepting = accepting
        self._timeout = timeout
        self._when_started = started

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves with the hub on this loop."""
        self._server.hub.attach(asyncio.get_running_loop())
        try:
            if not self.should_exit:
                if self._master is not None:
                    await self._group.join(self._master)
                await super().serve(sockets)
        finally:
            for listener in getattr(self, "servers", ()):  # older uvicorns leave them open if stopped early
                listener.close()
            self._server.hub.detach()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, or raises what prevents it."""
        try:
            await super().startup(sockets)
        except SystemExit as error:  # uvicorn's answer to an address in use, of no use in a thread
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        if self.started:
            self._accepting.begin(self.servers, self._listen)
        if self.started and self._when_started is not None:
            name = self.servers[0].sockets[0].getsockname()
            self._when_started(name[1] if isinstance(name, tuple) else 0)

    async def _listen(self, listener: socket.socket) -> asyncio.AbstractServer:
        config = self.config
        protocol: Any = config.http_protocol_class
        make = partial(protocol, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        loop = asyncio.get_running_loop()
        return await loop.create_server(make, sock=listener, ssl=config.ssl, backlog=config.backlog)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends sessions, requests and connections, within the time that is given; at once if forced."""
        deadline = monotonic() + self._timeout
        self._accepting.end()
        for server in self.servers:
            server.close()
        self._endpoint.closing = True
        self._group.hurry()
        await self._unless_forced(drain(self._server, self._timeout))
        await self._unless_forced(self._endpoint.finish(min(CLOSE_TIMEOUT, self._timeout)))
        await self._endpoint.finish(0)
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._finish_requests(deadline)
        await self._abort_connections()
        await self._group.leave()

    async def _unless_forced(self, waiting: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(waiting)
        while not task.done() and not self.force_exit:
            await asyncio.wait((task,), timeout=TICK)
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()

    async def _finish_requests(self, deadline: float) -> None:
        tasks = self.server_state.tasks
        while tasks and not self.force_exit and monotonic() < deadline:
            await asyncio.wait(tasks, timeout=TICK)
        if tasks:
            self._server.log.warning(
                "Cutting off %d requests after %s seconds (option shutdown_timeout)",
                len(tasks),
                self._timeout,
            )
            for task in tuple(tasks):
                task.cancel()
            await asyncio.wait(tuple(tasks), timeout=CLOSE_TIMEOUT)

    async def _abort_connections(self) -> None:
        """Aborts the connections whose peers do not take what is left for them."""
        deadline = monotonic() + CLOSE_TIMEOUT
        connections = self.server_state.connections
        while connections and not self.force_exit and monotonic() < deadline:  # noqa: ASYNC110  # uvicorn's set
            await asyncio.sleep(TICK)
        for connection in tuple(connections):
            transport: Any = connection.transport
            transport.abort()
        while connections:  # noqa: ASYNC110  # the loop tells them in its next round
            await asyncio.sleep(0)

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


def _is_loop_running_here() -> bool:
    # A function, so that nothing that is served runs inside the `except`, to show up in every traceback.
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
