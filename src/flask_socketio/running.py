"""`socketio.run()`: the options, the debugger and the reloader around the embedded server."""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import click
from flask import Flask
from werkzeug._reloader import run_with_reloader  # the only place where Werkzeug has it
from werkzeug.debug import DebuggedApplication
from werkzeug.serving import generate_adhoc_ssl_context, is_running_from_reloader

from carboy.config import warn_of_option
from carboy.exceptions import ConfigurationError
from carboy.runtime.server import Server

from .middleware import _SocketIOMiddleware
from .options import SERVING, serving_options

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5000

# Options of eventlet, gevent and Werkzeug, by the name that they have here.
RENAMED = {
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "ca_certs": "ssl_ca_certs",
    "cert_reqs": "ssl_cert_reqs",
    "ciphers": "ssl_ciphers",
}

# Options of theirs that have no counterpart, because what they ask for is so, or need not be.
IGNORED = frozenset(
    {
        *("allow_unsafe_werkzeug", "do_handshake_on_connect", "load_dotenv", "passthrough_errors"),
        *("processes", "server_side", "suppress_ragged_eofs", "threaded"),
    }
)

EMBEDDED = frozenset({*SERVING, "uds"})

# Options of uvicorn that the embedded server or the reloader decides.
NOT_UVICORNS = frozenset(
    {
        "self",
        "app",
        "host",
        "port",
        "uds",
        "fd",
        "ws",
        "http",
        "lifespan",
        "reload",
        "workers",
        "factory",
        "interface",
    }
)


@dataclass
class Settings:
    """What `run` was asked for.

    Attributes:
        host: the address to listen on.
        port: the port to listen on.
        debug: whether Flask's debug mode is on.
        use_debugger: whether exceptions of Flask are shown in the browser.
        use_evalex: whether that page takes code.
        use_reloader: whether a change in the sources starts the process again.
        reloader_options: keyword arguments of Werkzeug's reloader.
        workers: how many processes serve.
        server: keyword arguments of the embedded server.
    """

    host: str
    port: int
    debug: bool
    use_debugger: bool
    use_evalex: bool
    use_reloader: bool
    reloader_options: dict[str, Any]
    workers: int = 1
    server: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        app: Flask,
        host: str | None,
        port: int | None,
        given: dict[str, Any],
        inherited: Mapping[str, Any],
    ) -> Settings:
        """Read the arguments of `SocketIO.run`.

        Args:
            app: the application, for its SERVER_NAME and its debug mode.
            host: the address, "127.0.0.1" by default.
            port: the port, by default that of SERVER_NAME or 5000.
            given: all other arguments.
            inherited: `http_threads` and `shutdown_timeout` where they are not given, or None.

        Returns:
            The settings.

        Raises:
            ConfigurationError: if `ssl_context`, `workers`, `http_threads` or `shutdown_timeout` is not
                usable.
        """
        options = {RENAMED.get(name, name): value for name, value in given.items() if name not in IGNORED}
        debug = bool(options.pop("debug", app.debug))
        settings = cls(
            host=host or DEFAULT_HOST,
            port=_port(app) if port is None else int(port),
            debug=debug,
            use_debugger=bool(options.pop("use_debugger", debug)),
            use_evalex=bool(options.pop("use_evalex", True)),
            use_reloader=bool(options.pop("use_reloader", debug)),
            reloader_options=_reloader_options(options),
            workers=_workers(options.pop("workers", 1)),
        )
        settings.server["access_log"] = bool(options.pop("log_output", debug))
        settings.server |= _tls(options.pop("ssl_context", None))
        settings.server |= {name: options.pop(name) for name in EMBEDDED & options.keys()}
        settings.server |= serving_options(settings.server, inherited)
        settings.server["options"] = _uvicorn_options(options)
        return settings


def is_ignored_by_command_line() -> bool:
    """Tell whether `flask run` imports the application, which serves it itself; says so once."""
    if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
        return False
    if not is_running_from_reloader():
        click.secho(
            " * Ignoring a call to 'socketio.run()' that would block the current 'flask' CLI command.\n"
            "   Only call 'socketio.run()' in an 'if __name__ == \"__main__\"' guard.",
            fg="red",
        )
    return True


def serve(
    server: Server,
    app: Flask,
    middleware: _SocketIOMiddleware | None,
    settings: Settings,
    keep: Callable[[Any], None],
) -> None:
    """Serve an application until it is stopped.

    Args:
        server: the Socket.IO server.
        app: the application.
        middleware: where the debugger is put around the application.
        settings: what was asked for.
        keep: called with the embedded server once there is one, and with None at the end.
    """
    if settings.use_debugger and middleware is not None:
        middleware.wsgi_app = _debugged(middleware.wsgi_app, settings)

    def serve_here() -> None:
        # Here, since they import uvicorn, which a process that only emits, or is served otherwise, does not
        # need.
        from carboy.front.embedded import EmbeddedServer  # noqa: PLC0415

        def make_site(**given: Any) -> EmbeddedServer:
            given |= {"host": settings.host, "port": settings.port, "middleware": middleware}
            return EmbeddedServer(server, app.wsgi_app, **given, **settings.server)

        if settings.workers > 1 and _may_fork(settings):
            serve_with_workers(server, settings, make_site, keep)
        else:
            site = make_site(started=lambda port: _tell_address(settings, port))
            keep(site)
            try:
                site.run()
            finally:
                keep(None)

    if settings.use_reloader:
        run_with_reloader(serve_here, **settings.reloader_options)
    else:
        serve_here()


def serve_with_workers(
    server: Server,
    settings: Settings,
    make_site: Callable[..., Any],
    keep: Callable[[Any], None],
) -> None:
    """Serve with several processes, until they are stopped; this one only looks after them.

    Args:
        server: the Socket.IO server.
        settings: what was asked for.
        make_site: makes the embedded server that each process runs.
        keep: as in `serve`.
    """
    from carboy.front import listening, prefork  # noqa: PLC0415 (not on every system)

    uds = settings.server.get("uds")
    sockets = listening.listen(settings.host, settings.port, uds)
    name = sockets[0].getsockname()
    workers = prefork.WorkerProcesses(
        settings.workers,
        sockets,
        server.log,
        settings.server["shutdown_timeout"],
        lambda: _tell_address(settings, 0 if uds else name[1]),
        server.leave,
    )
    try:
        site = make_site(started=workers.tell_ready, master=prefork.make_master())
        keep(workers)
        workers.run(site)
    finally:
        keep(None)
        for listener in sockets:
            listener.close()
        listening.remove(uds)


def _may_fork(settings: Settings) -> bool:
    """Return whether several processes are possible; says why not."""
    if settings.use_reloader or settings.use_debugger:
        reason = "with the reloader or the debugger there is one"
    elif not hasattr(os, "fork"):
        reason = "this system cannot fork"
    else:
        return True
    click.echo(f" * One worker and not {settings.workers}: {reason}")
    settings.workers = 1
    return False


def _tell_address(settings: Settings, port: int) -> None:
    workers = "" if settings.workers == 1 else f" with {settings.workers} workers"
    with suppress(OSError):  # a full disk behind the output must not keep a server from its start
        click.echo(f" * Carboy serves {address(settings, port)}{workers} (Ctrl+C to stop)")


def address(settings: Settings, port: int) -> str:
    """Return the address that people can open.

    Args:
        settings: what was asked for.
        port: the port that the server listens on.
    """
    if settings.server.get("uds"):
        return f"unix:{settings.server['uds']}"
    secure = "ssl_context" in settings.server or bool(
        settings.server.get("ssl_certfile") or settings.server["options"].get("ssl_certfile")
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if secure else 'http'}://{host}:{port}"


def _workers(given: Any) -> int:
    if given is None:
        return 1
    if isinstance(given, int) and given >= 1:
        return given
    raise ConfigurationError(f"workers must be a number of processes, 1 or more, not {given!r}")


def _port(app: Flask) -> int:
    _, _, port = (app.config.get("SERVER_NAME") or "").rpartition(":")
    return int(port) if port.isdigit() else DEFAULT_PORT


def _reloader_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take out what is meant for the reloader, in the names that Flask and Werkzeug have for it."""
    found = dict(options.pop("reloader_options", None) or {})
    for name in ("extra_files", "exclude_patterns", "reloader_type", "reloader_interval"):
        if options.get(name) is not None:
            found[name] = options[name]
        options.pop(name, None)
    if "reloader_interval" in found:
        found["interval"] = found.pop("reloader_interval")
    return found


def _tls(ssl_context: Any) -> dict[str, Any]:
    if ssl_context is None:
        return {}
    if isinstance(ssl_context, ssl.SSLContext):
        return {"ssl_context": ssl_context}
    if ssl_context == "adhoc":
        try:
            return {"ssl_context": generate_adhoc_ssl_context()}
        except TypeError:
            raise ConfigurationError(
                "ssl_context='adhoc' needs the package cryptography: pip install cryptography"
            ) from None
    if isinstance(ssl_context, (tuple, list)) and len(ssl_context) in {1, 2}:
        return dict(zip(("ssl_certfile", "ssl_keyfile"), ssl_context, strict=False))
    raise ConfigurationError(
        f"ssl_context must be an ssl.SSLContext, (certificate file, key file) or 'adhoc', not {ssl_context!r}"
    )


def _uvicorn_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are uvicorn's, and warn of those that nobody knows."""
    if not options:
        return {}
    import uvicorn  # noqa: PLC0415 (as above)

    known = inspect.signature(uvicorn.Config).parameters.keys() - NOT_UVICORNS
    for name in sorted(options.keys() - known):
        ours = (*EMBEDDED, "host", "port", "ssl_context", "debug", "use_reloader", "workers")
        warn_of_option("run()", name, [*known, *ours])
    return {name: value for name, value in options.items() if name in known}


def _debugged(wsgi_app: Any, settings: Settings) -> Any:
    if isinstance(wsgi_app, DebuggedApplication):
        return wsgi_app
    debugged = DebuggedApplication(wsgi_app, evalex=settings.use_evalex)
    if hasattr(debugged, "trusted_hosts"):  # since Werkzeug 3.0.3
        debugged.trusted_hosts.append(settings.host)
    return debugged
