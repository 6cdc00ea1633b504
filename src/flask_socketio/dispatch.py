"""Runs the handler of one event in the client's contexts, with the arguments that fit.

A signature is read once, at registration. No handler's body is run twice: a TypeError is looked at only after
it was raised.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any

from flask import Flask

from carboy.exceptions import ArgumentsError, ConnectionRefusedError, NotServingError
from carboy.runtime.client import Client
from carboy.runtime.handlers import LIFECYCLE_EVENTS, Invoke, is_coroutine_function, positional_bounds
from carboy.runtime.jobs import complete

from .context import ClientContext, Context
from .session import SavedSession

# Whose event is being dispatched here, so that `_handle_event` need not search for the sid that it is given.
_dispatched: ContextVar[Client | None] = ContextVar("carboy_dispatched", default=None)

_MISFIT = re.compile(r"\(\) (takes|got multiple values for argument) ")

# Held while a connection's first event makes its session, which two namespaces may do at once.
_making_session = threading.Lock()


class Signature:
    """What has to be known of a handler before it is called.

    Args:
        function: the handler.

    Attributes:
        is_async: whether calling it gives a coroutine.
        least: positional arguments that it needs.
        most: positional arguments that it takes, infinite with `*args`.
    """

    __slots__ = ("is_async", "least", "most")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.is_async = is_coroutine_function(function)
        self.least, self.most = positional_bounds(function)

    def __str__(self) -> str:
        if self.most == float("inf"):
            return f"at least {_arguments(self.least)}"
        if self.least == self.most:
            return _arguments(self.least)
        return f"{self.least} to {_arguments(int(self.most))}"


class Dispatch:
    """The part of a SocketIO object that runs handlers.

    Attributes:
        exception_handlers: error handlers by namespace.
        default_exception_handler: the error handler of all other namespaces.
        manage_session: True for a session of the connection's own, False for Flask's; read at each event.
    """

    def __init__(self) -> None:
        self.exception_handlers: dict[str, Callable[[Exception], Any]] = {}
        self.default_exception_handler: Callable[[Exception], Any] | None = None
        self.manage_session = True
        self._app: Flask | None = None
        self._signatures: dict[Hashable, Signature] = {}

    def find_client(self, namespace: str, sid: str) -> Client | None:
        """Return a client that is connected, or is leaving; None if there is none with that sid."""
        raise NotImplementedError

    def _handle_event(
        self, handler: Callable[..., Any], message: str | None, namespace: str, sid: str, *args: Any
    ) -> Any:
        """Run a handler for one event of a client. Every event passes here, so a subclass may override it.

        Args:
            handler: the function or method of the application.
            message: the name of the event; None for the callback of an acknowledgement.
            namespace: the client's namespace.
            sid: the client's sid.
            *args: the arguments of the event; `connect` has (environ, auth), `disconnect` has (reason,).

        Returns:
            What the handler returned; for a coroutine function a coroutine that does.

        Raises:
            Exception: what the handler raised, unless an error handler took it.
        """
        client = _dispatched.get()
        if client is None or client.sid != sid or client.namespace != namespace:
            client = self.find_client(namespace, sid)
            if client is None:
                return None
        return self._run(handler, self._signature(handler), client, message, args)

    def _run(
        self,
        handler: Callable[..., Any],
        signature: Signature,
        client: Client,
        message: str | None,
        args: tuple[Any, ...],
    ) -> Any:
        given, call = args, handler
        if message in LIFECYCLE_EVENTS:
            given, call = fitting(signature, message, args), partial(_call_decorated, handler)
        contexts: ClientContext = client.context or self._make_context(client)
        context = Context(contexts, contexts.saved if self.manage_session else None, message, args)
        if signature.is_async:
            return self._run_async(context, handler, signature, message, client.namespace, given)
        context.begin()
        try:
            try:
                result = call(*given)
            except Exception as error:  # noqa: BLE001 (whatever the application raises is its error handler's)
                result = self._handle_error(error, handler, signature, message, client.namespace, given)
                result = complete(result) if inspect.iscoroutine(result) else result
                result = _after_error(message, result, error)
        except BaseException as error:
            context.end(error)
            raise
        context.end(None)
        return result

    async def _run_async(
        self,
        context: Any,
        handler: Callable[..., Coroutine[Any, Any, Any]],
        signature: Signature,
        message: str | None,
        namespace: str,
        given: tuple[Any, ...],
    ) -> Any:
        context.begin()
        try:
            try:
                result = await handler(*given)
            except Exception as error:  # noqa: BLE001 (as above)
                result = self._handle_error(error, handler, signature, message, namespace, given)
                result = await result if inspect.iscoroutine(result) else result
                result = _after_error(message, result, error)
        except BaseException as error:
            context.end(error)
            raise
        context.end(None)
        return result

    def _handle_error(
        self,
        error: Exception,
        handler: Callable[..., Any],
        signature: Signature,
        message: str | None,
        namespace: str,
        given: tuple[Any, ...],
    ) -> Any:
        """Give an exception to one error handler after another until one returns; refusals pass them by."""
        if message not in LIFECYCLE_EVENTS and not signature.least <= len(given) <= signature.most:
            error = _misfit(error, handler, signature, message, len(given))
        for take in self._error_handlers(handler, namespace):
            if is_refusal(error):
                break
            try:
                return take(error)
            except Exception as next_error:  # noqa: BLE001 (it raises what it does not want, often the same)
                error = next_error
        raise error

    def _error_handlers(
        self, handler: Callable[..., Any], namespace: str
    ) -> Iterator[Callable[[Exception], Any]]:
        found = self.exception_handlers.get(namespace, self.default_exception_handler)
        if found is not None:
            yield found
        # A class-based namespace may take what is left. `error` is optional there, and a plain object's
        # bound method may have one of another meaning, hence the second look.
        owner = getattr(handler, "__self__", None)
        if hasattr(owner, "trigger_event") and callable(own := getattr(owner, "error", None)):
            yield own

    def _signature(self, handler: Callable[..., Any]) -> Signature:
        """Return the signature read at registration; what a subclass wraps per event is read each time."""
        try:
            found = self._signatures.get(handler)
        except TypeError:  # a callable object may be unhashable
            found = None
        return found or Signature(handler)

    def _read_signature(self, handler: Callable[..., Any]) -> None:
        if isinstance(handler, Hashable):
            self._signatures[handler] = Signature(handler)

    def _make_context(self, client: Client) -> ClientContext:
        """Make what a client keeps between its events, at the first of them."""
        connection = client.connection
        with _making_session:
            saved = connection.context
            if saved is None:
                saved = connection.context = SavedSession()
        app: Flask | None = connection.environ.get("flask.app") or self._app
        if app is None:
            raise NotServingError("no application was given to init_app(), so that handlers have no contexts")
        made = ClientContext(app, connection.environ, client.sid, client.namespace, saved=saved)
        client.context = made
        return made

    def _invoke(self, function: Callable[..., Any]) -> Invoke:
        """Return what the server calls for the events that a function answers."""
        if type(self)._handle_event is not Dispatch._handle_event:  # noqa: SLF001 (our own)

            def invoke(client: Client, event: str, arguments: tuple[Any, ...]) -> Any:
                return dispatch(
                    client, self._handle_event, function, event, client.namespace, client.sid, *arguments
                )

            return invoke

        # The hot path: what `_handle_event` does when nobody has overridden it, without looking anything up.
        return partial(self._run, function, self._signature(function))

    def _for_originator(self, client: Client, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callback that runs in the contexts of the client whose event asked for it."""

        def run(*args: Any) -> Any:
            return dispatch(client, self._handle_event, callback, None, client.namespace, client.sid, *args)

        async def run_async(*args: Any) -> Any:
            return await run(*args)

        return run_async if is_coroutine_function(callback) else run


def dispatch(client: Client, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function during which `client` is the one whose event is being dispatched."""
    token = _dispatched.set(client)
    try:
        return function(*args)
    finally:
        _dispatched.reset(token)


def current_client() -> Client | None:
    """Return the client whose event is being dispatched in this thread; a coroutine has left that behind."""
    return _dispatched.get()


def fitting(signature: Signature, message: str | None, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a connect or disconnect handler is called with.

    Args:
        signature: the handler's.
        message: "connect" or "disconnect".
        args: (environ, auth) or (reason,).

    Returns:
        The auth data or the reason, if the handler takes an argument.
    """
    given = args[1:] if message == "connect" else args
    return given if signature.most >= 1 else ()


def _call_decorated(handler: Callable[..., Any], *given: Any) -> Any:
    """Call a connect or disconnect handler; behind a decorator it may take less than it seems to.

    A decorator whose function takes anything passes on what the handler may not take, or what it fills in
    itself. Then it is called with nothing, as Flask-SocketIO does after each TypeError.
    """
    try:
        return handler(*given)
    except TypeError as error:
        if not given or not _was_passed_on_in_vain(error):
            raise
    return handler()


def _was_passed_on_in_vain(error: TypeError) -> bool:
    """Tell whether a function with `*args` has called one that does not take what it was given."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    is_wrapper = trace is not None and trace.tb_frame.f_code.co_flags & inspect.CO_VARARGS
    return bool(is_wrapper) and _MISFIT.search(str(error)) is not None


def is_refusal(error: BaseException) -> bool:
    """Tell whether an exception was raised to refuse a client; python-socketio's own counts too."""
    return isinstance(error, ConnectionRefusedError) or (
        type(error).__name__ == "ConnectionRefusedError" and hasattr(error, "error_args")
    )


def _after_error(message: str | None, result: Any, error: Exception) -> Any:
    """Return what an error handler returned; an exception in a connect handler refuses the client anyway."""
    if message == "connect":
        raise ConnectionRefusedError from error
    return result


def _misfit(
    error: Exception, handler: Callable[..., Any], signature: Signature, message: str | None, given: int
) -> Exception:
    """Blame the client for a TypeError if its arguments cannot fit and the handler's body never ran."""
    body = getattr(inspect.unwrap(handler), "__code__", None)
    if not isinstance(error, TypeError) or _ran(body, error.__traceback__):
        return error
    name = getattr(handler, "__qualname__", repr(handler))
    what = "the acknowledgement" if message is None else f"the event {message!r}"
    return ArgumentsError(f"{name}() takes {signature}, but {what} came with {given}")


def _ran(body: Any, trace: TracebackType | None) -> bool:
    while trace is not None:
        if trace.tb_frame.f_code is body:
            return True
        trace = trace.tb_next
    return False


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
