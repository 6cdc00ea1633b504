"""Enters Flask's contexts for one Socket.IO event.

`app.request_context(environ)` with its session costs 40 us. Here the Request is made once per client and
copied for an event, and what not every handler uses (the copy, `g`, URL adapter, session) is made on demand.
The contexts are of Flask's classes and hold what its push leaves in them, so Flask can push them again, and
pop them.

This is the only module that touches Flask's context internals: Flask 3.0 and 3.1 keep an app and a request
context, 3.2 one for both. It must not run handlers, nor know the wire.
"""
# ruff: noqa: SLF001 (Flask's internals are this module's job)

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

from flask import Flask, Request, ctx
from flask import globals as flask_globals
from flask.ctx import AppContext
from flask.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down, request_tearing_down
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter
from werkzeug.utils import cached_property

from .session import EventSession, SavedSession

_active: ContextVar[Any] = flask_globals._cv_app
_new = object.__new__


class _NoRoute(NotFound):
    """The `routing_exception` of an event. Each has its own, because raising it leaves a traceback in it."""

    response = None

    def __init__(self) -> None:
        """Set nothing: what Werkzeug sets here is in the class, because every event makes one."""


class _OnDemand:
    """An attribute that is made when it is first read, and from then on is the instance's own."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._make(instance)
        return value


class _EventBase(EventSession):
    """What the contexts of both layouts share.

    Attributes:
        client: whose event it is.
        message: the name of the event; None for the callback of an acknowledgement.
        args: what came with it.
    """

    flashes: list[tuple[str, str]] | None = None
    _flashes: list[tuple[str, str]] | None = None

    def __init__(
        self, client: ClientContext, saved: SavedSession | None, message: str | None, args: tuple[Any, ...]
    ) -> None:
        self.app = client.app
        self.client = client
        self.saved = saved
        self.message = message
        self.args = args

    @_OnDemand
    def _after_request_functions(self) -> list[Any]:
        return []

    def begin(self: Any) -> None:  # Any: how it enters and leaves is the layout's
        """Enter the contexts; they have been left again if opening a server-side session raises."""
        alone = self._enter()
        saved = self.saved
        if (alone and appcontext_pushed.receivers) or (saved is not None and saved.began is None):
            self._announce(alone)

    def end(self: Any, error: BaseException | None) -> None:
        """Leave the contexts, also if saving a server-side session or a teardown function raises.

        Args:
            error: what the handler raised, for the teardown functions.
        """
        if error is None and self.opened_session is not None:
            try:
                self.save_session()
            except BaseException as save_error:
                self.end(save_error)
                raise
        app = self.app
        if app.teardown_request_funcs or request_tearing_down.receivers or self.client.needs_pop:
            self.pop(error)
        elif (
            app.teardown_appcontext_funcs
            or appcontext_tearing_down.receivers
            or appcontext_popped.receivers
            or not self._leave()
        ):
            self._leave_with_teardown(error)

    def _announce(self: Any, alone: bool) -> None:
        app, saved = self.app, self.saved
        try:
            if alone:
                appcontext_pushed.send(app, _async_wrapper=app.ensure_sync)
            if saved is not None and saved.began is None:
                saved.begin(app, self.request)
        except BaseException as error:
            self.end(error)
            raise

    @cached_property
    def url_adapter(self) -> MapAdapter | None:
        """What builds URLs, bound to the handshake's host; None if Flask refuses that host."""
        try:
            return self.app.create_url_adapter(self.request)
        except HTTPException:
            return None

    def match_request(self) -> None:
        """Leave the request alone: an event has no route, not even where the app has one for every path."""

    def copy(self) -> Any:
        """Return a context with this event's request and session, for Flask to push elsewhere."""
        copied = Context(self.client, self.saved, self.message, self.args)
        copied.share_request(self.request)
        copied.opened_session = self.read_session()
        return copied


if hasattr(flask_globals, "_cv_request"):
    _active_request: ContextVar[Any] = flask_globals._cv_request
    _innermost = _active_request

    class _AppContext(AppContext):
        """An app context whose URL adapter, unused while a request context is active, is made on demand."""

        @_OnDemand
        def g(self) -> Any:
            """What handlers keep for the time of the event."""
            return self.app.app_ctx_globals_class()

        @cached_property
        def url_adapter(self) -> MapAdapter | None:
            """What builds URLs outside of a request."""
            return self.app.create_url_adapter(None)

    class Context(_EventBase, ctx.RequestContext):  # pyright: ignore[reportRedeclaration]
        """A request context, and the app context below it (Flask 3.0 and 3.1)."""

        # Where Flask keeps the session; since 3.1.3 its `session` is a property that reads it here.
        _session: Any = property(EventSession.read_session, EventSession.write_session)
        if not hasattr(ctx.RequestContext, "session"):
            session: Any = _session

        @_OnDemand
        def request(self) -> Request:
            """The event's own copy of the handshake's request."""
            return self.client.copy_request(self.message, self.args)

        def share_request(self, request: Request) -> None:
            """Show a request that was copied already, in a context for Flask to push."""
            self.__dict__["request"] = request
            self._cv_tokens = []

        def _enter(self) -> bool:
            """Do what `push` does, but send no signal and open no session.

            Returns:
                Whether the app context is the event's own. A test that has pushed one of the same app shares
                it with the events of its clients: `g`, a session of SQLAlchemy, and when it is torn down.
            """
            outer = _active.get(None)
            if outer is not None and outer.app is self.app:
                self._cv_tokens = [(_active_request.set(self), None)]
                return False
            app_context = _new(_AppContext)  # what its `__init__` would set is made on demand
            app_context.app = self.app
            app_context._cv_tokens = [_active.set(app_context)]
            self._cv_tokens = [(_active_request.set(self), app_context)]
            return True

        def _leave_with_teardown(self, error: BaseException | None) -> None:
            """Do what `pop` does where the request has nothing to run: it is not copied for its end alone."""
            tokens: Any = self._cv_tokens
            if len(tokens) != 1 or _active_request.get(None) is not self:
                self.pop(error)
                return
            token, app_context = tokens.pop()
            _active_request.reset(token)
            if app_context is not None:
                app_context.pop(error)

        def _leave(self) -> bool:
            """Do what `pop` does where the app has nothing to run; False if something was pushed on top."""
            tokens: Any = self._cv_tokens
            token, app_context = tokens[0]
            if len(tokens) != 1 or (app_context is not None and len(app_context._cv_tokens) != 1):
                return False
            tokens.clear()
            _active_request.reset(token)
            if app_context is not None:
                _active.reset(app_context._cv_tokens.pop())
            return True

else:
    _innermost = _active

    class Context(_EventBase, AppContext):  # type: ignore[no-redef]
        """The one context of an app and a request (Flask 3.2)."""

        _session = property(EventSession.read_session, EventSession.write_session)
        _cv_token: Token[Any] | None = None
        _push_count: int = 0

        @_OnDemand
        def g(self) -> Any:
            """What handlers keep for the time of the event."""
            return self.app.app_ctx_globals_class()

        @_OnDemand
        def _request(self) -> Request:
            """The event's own copy of the handshake's request."""
            return self.client.copy_request(self.message, self.args)

        def share_request(self, request: Request) -> None:
            """Show a request that was copied already."""
            self.__dict__["_request"] = request

        def _enter(self) -> bool:
            self._push_count = 1
            self._cv_token = _active.set(self)
            return True

        def _leave_with_teardown(self, error: BaseException | None) -> None:
            self.pop(error)

        def _leave(self) -> bool:
            if self._push_count != 1:
                return False
            _active.reset(self._cv_token)  # type: ignore[arg-type]
            self._cv_token, self._push_count = None, 0
            return True


class ClientContext:
    """One client of a namespace, as its handlers see it. It costs next to nothing before the first event.

    Args:
        app: the app that accepted the handshake.
        environ: the handshake's WSGI environ, `request.environ` of every event.
        sid: `request.sid`.
        namespace: `request.namespace`.
        saved: the session of the client's connection.
    """

    __slots__ = ("app", "environ", "namespace", "needs_pop", "request_values", "saved", "sid")

    def __init__(
        self, app: Flask, environ: dict[str, Any], sid: str, namespace: str, *, saved: SavedSession
    ) -> None:
        environ["flask.app"] = app
        self.app, self.environ, self.saved = app, environ, saved
        self.sid, self.namespace = sid, namespace
        self.request_values: dict[str, Any] | None = None
        self.needs_pop = (
            type(app).do_teardown_request is not Flask.do_teardown_request
            or type(app).do_teardown_appcontext is not Flask.do_teardown_appcontext
            or app.request_class.close is not Request.close
        )

    def copy_request(self, message: str | None, args: tuple[Any, ...]) -> Request:
        """Return the request of one event: a copy, because two events of one client may overlap.

        Args:
            message: the name of the event.
            args: what came with it.
        """
        values = (self.request_values or self.prepare()).copy()
        values["event"] = {"message": message, "args": args}
        if values["routing_exception"] is None:
            values["routing_exception"] = _NoRoute()
        request: Request = _new(self.app.request_class)
        request.__dict__ = values
        return request

    def prepare(self) -> dict[str, Any]:
        """Return the attributes of the handshake's Request, of which each event gets a copy."""
        request = self.app.request_context(self.environ).request
        # Werkzeug refers from the environ to the request, which refers back: a cycle, once a client.
        self.environ.pop("werkzeug.request", None)
        refused = request.routing_exception and request.routing_exception.with_traceback(None)
        own = {"sid": self.sid, "namespace": self.namespace, "event": None, "routing_exception": refused}
        self.request_values = values = {**vars(request), **own}
        return values


class AssignedClient(NamedTuple):
    """Whom an HTTP route, or a test, means that sets `request.sid` or `request.namespace` itself.

    Attributes:
        sid: the client; None if only the namespace was set.
        namespace: the namespace.
    """

    sid: str | None
    namespace: str


def current_event() -> ClientContext | AssignedClient | None:
    """Return the client whose event is being handled here, or who was assigned; None if there is neither."""
    context = _innermost.get(None)
    if type(context) is Context:
        return context.client
    request = getattr(context, "_request" if _innermost is _active else "request", None)
    if request is None:
        return None
    sid, namespace = getattr(request, "sid", None), getattr(request, "namespace", None)
    return None if sid is None and namespace is None else AssignedClient(sid, namespace or "/")
