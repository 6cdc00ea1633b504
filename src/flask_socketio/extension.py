"""The Flask extension: one object that holds an application's handlers, sends for it and serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from threading import Thread
from typing import Any, ClassVar

from flask import Flask
from flask.testing import FlaskClient

from carboy.config import Config, warn_application
from carboy.exceptions import ConfigurationError
from carboy.front.asgi import ASGIApplication
from carboy.front.green_threads import refuse_green_threads
from carboy.front.uwsgi_options import refuse_uwsgi_without_threads
from carboy.runtime.server import Server

from .asgi import create_asgi_app
from .cli import socketio_commands
from .clients import Clients
from .middleware import _SocketIOMiddleware, find_early_proxy_fix
from .options import DEFAULT_ASYNC_MODE, SERVING, Options
from .registration import Registration
from .running import Settings, is_ignored_by_command_line, serve
from .shims import SocketIOServer
from .tasks import sleep, start_task
from .test_client import SocketIOTestClient


class Reason:
    """Why a client was disconnected, as its disconnect handler is told."""

    CLIENT_DISCONNECT: ClassVar[str] = "client disconnect"
    SERVER_DISCONNECT: ClassVar[str] = "server disconnect"
    PING_TIMEOUT: ClassVar[str] = "ping timeout"
    TRANSPORT_CLOSE: ClassVar[str] = "transport close"
    TRANSPORT_ERROR: ClassVar[str] = "transport error"


class SocketIO(Registration, Clients):
    """A Socket.IO server for a Flask application.

    Args:
        app: the application; None if `init_app` is called later.
        **kwargs: the options of `init_app`.

    Attributes:
        reason: the reasons of disconnects.
        server: the server, with the methods that python-socketio's has; None before `init_app`.
        server_options: the options that were given; what is changed here counts at the next `init_app`.
        async_mode: the value of that option.
        sockio_mw: the middleware around the application.
        wsgi_server: the web server while `run` runs.
    """

    reason = Reason

    def __init__(self, app: Flask | None = None, **kwargs: Any) -> None:
        super().__init__()
        # None until init_app, which a type checker would have every application ask for.
        self.server: SocketIOServer = None  # type: ignore[assignment]
        self.server_options: dict[str, Any] = {}
        self.async_mode = DEFAULT_ASYNC_MODE
        self.sockio_mw: _SocketIOMiddleware | None = None
        self.wsgi_server: Any = None
        self._make_asgi_app: Callable[[], ASGIApplication] | None = None
        self._run_options: dict[str, Any] = {}
        if app is not None or kwargs.get("message_queue"):
            self.init_app(app, **kwargs)
        else:
            self.server_options.update(kwargs)

    def init_app(self, app: Flask | None, **kwargs: Any) -> None:
        """Make the server of an application, with all handlers that are registered, now or later.

        Args:
            app: the application; None for a process that only emits.
            **kwargs: options, which add to those given before. Those of the server are the fields of
                `carboy.config.Config`; beside them there are
                `manage_session` (True: a session of the connection's own, copied from Flask's; False:
                Flask's), `share_session` (True is the same as `manage_session=False`),
                `legacy_falsy_to` (whether `to=""` reaches everybody, as in Flask-SocketIO),
                `http_threads` (10, for Flask's routes behind `asgi_app` and `run`), `shutdown_timeout` (10
                seconds that handlers are given when the server ends),
                `message_queue`, the URL of a broker that several processes share (redis://, amqp://, nats://,
                kafka://, zmq+tcp:// and their variants), with `channel` ("flask-socketio") and
                `message_queue_options` (a dict for the broker's client library),
                `async_mode` (taken: no green threads are needed).

        Raises:
            ValueError: if an option has a value that cannot work, or `app` is no Flask application.
        """
        if app is not None and not hasattr(app, "extensions"):
            raise ConfigurationError(f"SocketIO(app) and init_app(app) take a Flask application, not {app!r}")
        self.server_options.update(kwargs)
        options = Options.read(self.server_options, app)
        runtime = Server(Config.from_options(options.server))
        if options.manage_session is not None:
            self.manage_session = options.manage_session
        self.legacy_falsy_to = options.legacy_falsy_to
        self.async_mode = options.async_mode
        if options.queue is not None:
            options.queue.join(runtime)
            self.server_options["client_manager"] = options.queue
        if options.async_mode != DEFAULT_ASYNC_MODE:
            runtime.log.warning(
                "async_mode=%r: no green threads are needed, handlers run on threads", options.async_mode
            )
        self._replay(runtime)
        self.runtime = runtime
        self._run_options = {name: getattr(options, name) for name in SERVING}
        self.server = SocketIOServer(runtime, options.async_mode, options.legacy_falsy_to)
        if app is not None:
            refuse_green_threads()
            refuse_uwsgi_without_threads()
            self._wrap(app, runtime, options)

    def _wrap(self, app: Flask, runtime: Server, options: Options) -> None:
        other = app.extensions.get("socketio", self)
        if other is not self and other.runtime.config.path == runtime.config.path:
            warn_application(
                "this application has two SocketIO objects at one path, so that clients reach the handlers of"
                " the second alone; make one and register all handlers with it"
            )
        app.extensions["socketio"] = self
        app.cli.add_command(socketio_commands)
        self._app = app
        inner: Any = app.wsgi_app
        if inner is self.sockio_mw and self.sockio_mw is not None:
            inner = self.sockio_mw.wsgi_app  # a second init_app replaces the first
        elif find_early_proxy_fix(inner):
            runtime.log.warning(
                "ProxyFix was put around the application before SocketIO(app) or init_app(app), so it does"
                " not see the requests of Socket.IO; put it on after them"
            )
        self.sockio_mw = _SocketIOMiddleware(self.server, app, inner, runtime, options.shutdown_timeout)
        app.wsgi_app = self.sockio_mw  # type: ignore[method-assign]  # Flask's documented way to add middleware
        self._make_asgi_app = cache(
            partial(
                create_asgi_app, app, runtime, self.sockio_mw, options.http_threads, options.shutdown_timeout
            )
        )

    @property
    def asgi_app(self) -> ASGIApplication:
        """The application for an ASGI server (uvicorn, hypercorn, granian, daphne), always the same one.

        Flask's routes are served beside it, by `http_threads` threads (an option of `init_app`).

        Raises:
            RuntimeError: if `init_app` was not called with an application.
        """
        if self._make_asgi_app is None:
            raise RuntimeError("asgi_app needs an application: call init_app(app) first")
        return self._make_asgi_app()

    def run(self, app: Flask, host: str | None = None, port: int | None = None, **kwargs: Any) -> None:
        """Serve the application until it is stopped by `stop`, SIGINT or SIGTERM; fit for production.

        Under `flask run` it does nothing, since that serves the application.

        Args:
            app: the application.
            host: the address to listen on, "127.0.0.1" by default.
            port: the port, by default that of the config value SERVER_NAME, or 5000.
            **kwargs: `workers` (1), the processes that serve: they share clients, rooms and broadcasts, and
                one that ends is replaced; `debug` (the application's by default), `use_reloader`,
                `use_debugger` and `log_output` (as `debug` by default), `reloader_options`, `extra_files`;
                `ssl_certfile`, `ssl_keyfile`, `ssl_keyfile_password`, `ssl_ca_certs`, or `ssl_context` (an
                `ssl.SSLContext`, a pair of files, or "adhoc"); `uds`, the path of a Unix socket;
                `http_threads` and `shutdown_timeout`, in place of those of `init_app`; and what
                `uvicorn.Config` takes. Options of Werkzeug, eventlet and gevent that mean the same are
                understood.

        Raises:
            ValueError: if an option has a value that cannot work.
            RuntimeError: if `init_app` was not called.
        """
        if is_ignored_by_command_line():
            return
        runtime = self._serving()
        settings = Settings.read(app, host, port, kwargs, self._run_options)
        app.debug = settings.debug
        serve(runtime, app, self.sockio_mw, settings, self._keep)

    def stop(self) -> None:
        """Stop what `run` serves, from anywhere; `run` returns when all is done.

        Raises:
            RuntimeError: if `run` does not serve.
        """
        if self.wsgi_server is None:
            raise RuntimeError("run() serves nothing in this process that could be stopped")
        self.wsgi_server.stop()

    def _keep(self, web_server: Any) -> None:
        self.wsgi_server = web_server

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Thread:
        """Run a function in a thread of its own, a daemon, without any context of Flask.

        Args:
            target: the function; a coroutine function runs on a loop of that thread.
            *args: its arguments.
            **kwargs: its keyword arguments.

        Returns:
            The thread, whose `join` waits for the end.
        """
        return start_task(target, args, kwargs)

    def sleep(self, seconds: float = 0) -> None:
        """Sleep.

        Args:
            seconds: how long.

        Raises:
            RuntimeError: in a coroutine on the server's loop, which must not wait.
        """
        sleep(self.runtime, seconds)

    def test_client(
        self,
        app: Flask,
        namespace: str | None = None,
        query_string: str | None = None,
        headers: dict[str, str] | None = None,
        auth: dict[str, Any] | None = None,
        flask_test_client: FlaskClient | None = None,
        acknowledge: Mapping[str, Callable[..., Any]] | None = None,
    ) -> SocketIOTestClient:
        """Return a client for tests, which is connected.

        Args:
            app: the application.
            namespace: the namespace, "/" by default.
            query_string: the query of the handshake.
            headers: the headers of the handshake.
            auth: the data for the connect handler.
            flask_test_client: a test client of Flask, whose cookies and session the client has.
            acknowledge: functions by event, whose results answer what the server wants acknowledged.
        """
        return SocketIOTestClient(
            app,
            self,
            namespace=namespace,
            query_string=query_string,
            headers=headers,
            auth=auth,
            flask_test_client=flask_test_client,
            acknowledge=acknowledge,
        )
