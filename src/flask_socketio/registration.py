"""Collects the handlers of an application, and registers them in every server that the extension makes.

The lists here are the truth: a server only gets a replay of them, so that it does not matter whether a
handler was decorated before or after `init_app`, or between two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from carboy.config import warn_application
from carboy.runtime.handlers import ANY, Handler
from carboy.runtime.server import Server

from .dispatch import Dispatch
from .namespace import Namespace

Function = Callable[..., Any]
FunctionType = TypeVar("FunctionType", bound=Function)
ErrorHandler = Callable[[Exception], Any]
ErrorHandlerType = TypeVar("ErrorHandlerType", bound=ErrorHandler)


class Registration(Dispatch):
    """The decorators of a SocketIO object, and what they have collected.

    Attributes:
        handlers: (event, function, namespace) in the order of registration; the last one of a kind counts.
        namespace_handlers: the class-based namespaces.
        runtime: the server; None before `init_app`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[tuple[str, Function, str]] = []
        self.namespace_handlers: list[Namespace] = []
        self.runtime: Server | None = None

    def on(self, message: str, namespace: str | None = None) -> Callable[[FunctionType], FunctionType]:
        """Register a handler for an event, as a decorator.

        Args:
            message: the name of the event; "connect" and "disconnect" are told by the server; "*" is any
                other event without a handler of its own, whose name is the handler's first argument.
            namespace: the namespace, "/" by default; "*" is any without a handler of its own.

        Returns:
            The decorator, which returns the function as it is.
        """
        if callable(message):
            warn_application(
                f"on() needs the name of an event, as in @socketio.on('message'); got {message!r}"
            )
        _check_namespace(namespace)

        def decorate(function: FunctionType) -> FunctionType:
            entry = (message, function, namespace or "/")
            self.handlers.append(entry)
            self._read_signature(function)
            if self.runtime is not None:
                self._register(self.runtime, *entry)
            return function

        return decorate

    def on_event(self, message: str, handler: Function, namespace: str | None = None) -> None:
        """Register a handler for an event.

        Args:
            message: the name of the event, as in `on`.
            handler: the function.
            namespace: the namespace, as in `on`.
        """
        self.on(message, namespace=namespace)(handler)

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Register a handler for the event that has the function's name, as a decorator.

        Args:
            *args: nothing but the function (`@socketio.event`), or the namespace.
            **kwargs: `namespace`, as in `on`.

        Returns:
            The function, or the decorator.
        """
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])

        def decorate(function: FunctionType) -> FunctionType:
            return self.on(function.__name__, *args, **kwargs)(function)

        return decorate

    def on_error(self, namespace: str | None = None) -> Callable[[ErrorHandlerType], ErrorHandlerType]:
        """Register what is called with the exceptions of a namespace's handlers, as a decorator.

        It runs in the contexts of the event, and what it returns is the acknowledgement.

        Args:
            namespace: the namespace, "/" by default.

        Returns:
            The decorator, which returns the function as it is.
        """

        def decorate(exception_handler: ErrorHandlerType) -> ErrorHandlerType:
            self.exception_handlers[namespace or "/"] = _checked(exception_handler)
            return exception_handler

        return decorate

    def on_error_default(self, exception_handler: ErrorHandlerType) -> ErrorHandlerType:
        """Register what is called with exceptions where there is no error handler, as a plain decorator.

        Args:
            exception_handler: the function, as in `on_error`.

        Returns:
            The function as it is.

        Raises:
            ValueError: if it cannot be called.
        """
        self.default_exception_handler = _checked(exception_handler)
        return exception_handler

    def on_namespace(self, namespace_handler: Namespace) -> None:
        """Register a class-based namespace, whose methods answer the events that no function answers.

        Args:
            namespace_handler: an instance of a subclass of `Namespace`.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(namespace_handler, Namespace):
            raise ValueError("Not a namespace instance.")  # noqa: TRY004 (Flask-SocketIO raises this)
        _check_namespace(namespace_handler.namespace)
        namespace_handler._set_socketio(self)  # noqa: SLF001 (a name that Flask-SocketIO has)
        self.namespace_handlers.append(namespace_handler)
        if self.runtime is not None:
            self._register_namespace(self.runtime, namespace_handler)

    def _replay(self, server: Server) -> None:
        """Register everything in a new server."""
        for entry in self.handlers:
            self._register(server, *entry)
        for namespace_handler in self.namespace_handlers:
            self._register_namespace(server, namespace_handler)

    def _register(self, server: Server, message: str, function: Function, namespace: str) -> None:
        server.handlers.register(namespace, message, Handler(function, self._invoke(function)))

    def _register_namespace(self, server: Server, namespace_handler: Namespace) -> None:
        for name in dir(namespace_handler):
            if name.startswith("on_") and callable(method := getattr(namespace_handler, name)):
                self._read_signature(method)
        server.handlers.register_namespace(namespace_handler.namespace, namespace_handler.resolver())


def _check_namespace(namespace: str | None) -> None:
    """Warn of a namespace that no client can join: the names that the protocol has begin with a slash."""
    if namespace and namespace != ANY and not namespace.startswith("/"):
        warn_application(f"no client can join the namespace {namespace!r}; did you mean {'/' + namespace!r}?")


def _checked(exception_handler: ErrorHandlerType) -> ErrorHandlerType:
    if not callable(exception_handler):
        raise ValueError("exception_handler must be callable")  # noqa: TRY004 (Flask-SocketIO raises this)
    return exception_handler
