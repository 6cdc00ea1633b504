"""Sends events from the application to clients: `emit`, `send`, `call`, with the options of Flask-SocketIO.

What the options mean is in `targets.py`; who receives, and how, is the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any

from carboy.exceptions import NotConnectedError, NotServingError
from carboy.runtime.acks import Answered, Lost
from carboy.runtime.client import Client
from carboy.runtime.server import Server

from .context import current_event
from .dispatch import Dispatch
from .targets import answer_value, event_arguments, rooms_of, skipped_sids

Callback = Callable[..., Any]


class Emitting(Dispatch):
    """The part of a SocketIO object that sends.

    Attributes:
        runtime: the server; None before `init_app`.
        legacy_falsy_to: whether `to=""` and its like mean everybody, as in Flask-SocketIO.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runtime: Server | None = None
        self.legacy_falsy_to = False

    def emit(
        self,
        event: str,
        *args: Any,
        namespace: str | None = "/",
        to: Any = None,
        room: Any = None,
        include_self: bool = True,
        skip_sid: Any = None,
        callback: Callback | None = None,
        ignore_queue: bool = False,
        timeout: float | None = None,
        volatile: bool = False,
        data: Any = None,
    ) -> None:
        """Send an event to clients, from anywhere: handlers, HTTP routes, threads. It never waits.

        Args:
            event: its name.
            *args: the data, one value: None for no argument, a tuple for several, anything else for one.
            namespace: the namespace, "/" by default.
            to: a sid, a room, or a collection of them; everybody in the namespace by default. An empty one
                reaches nobody.
            room: the same under another name.
            include_self: False leaves out the client whose event is being handled.
            skip_sid: a sid or several that are left out.
            callback: called with the arguments of each client's acknowledgement, in the contexts of the event
                in whose handler this is called.
            ignore_queue: only clients of this process are meant.
            timeout: seconds after which an acknowledgement counts as lost, which the log tells; None for no
                limit.
            volatile: whether it is dropped for clients that cannot take it now.
            data: the data under a name.

        Raises:
            TypeError: if the data cannot be encoded.
            RuntimeError: if there is no client of which `include_self` could speak, nor a `skip_sid`.
        """
        server = self.runtime or self._serving()
        arguments = event_arguments(args if args or data is None else (data,))
        # First the common case.
        rooms: list[Hashable] | None = [to] if type(to) is str and to else self._rooms(to, room, event)
        skip = skipped_sids(skip_sid)
        if not include_self:
            skip = with_own_sid(skip)
        namespace = namespace or "/"
        if callback is None:
            if timeout is not None:
                raise TypeError(
                    "emit() waits for nothing without a callback, so that timeout= has no meaning"
                )
            server.emit(
                event,
                arguments,
                namespace=namespace,
                rooms=rooms,
                skip=skip,
                volatile=volatile,
                everywhere=not ignore_queue,
            )
            return
        callback = self._in_context(callback)
        ask(server, event, arguments, callback, namespace, rooms, skip, timeout, everywhere=not ignore_queue)

    def send(
        self,
        data: Any,
        json: bool = False,
        namespace: str | None = None,
        to: Any = None,
        callback: Callback | None = None,
        include_self: bool = True,
        skip_sid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send a message, which is an event with the name "message", or "json".

        Args:
            data: the message.
            json: whether the event is "json".
            namespace: as in `emit`.
            to: as in `emit`.
            callback: as in `emit`.
            include_self: as in `emit`.
            skip_sid: as in `emit`.
            **kwargs: more options of `emit`.
        """
        self.emit(
            "json" if json else "message",
            data,
            namespace=namespace,
            to=to,
            callback=callback,
            include_self=include_self,
            skip_sid=skip_sid,
            **kwargs,
        )

    def call(
        self,
        event: str,
        *args: Any,
        namespace: str | None = "/",
        to: Any = None,
        room: Any = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client and wait for its acknowledgement.

        Args:
            event: its name.
            *args: the data, as in `emit`.
            namespace: the namespace, "/" by default.
            to: the client's sid.
            room: the same under another name.
            timeout: seconds to wait, None for no limit.
            ignore_queue: only a client of this process is meant.

        Returns:
            None, the argument of the acknowledgement, or a tuple of several.

        Raises:
            ValueError: if there is no `to`.
            TimeoutError: if none comes in time, and at once when none can come any more.
            RuntimeError: in a coroutine on the server's loop, which must not wait; see `call_async`.
        """
        question = self._question("call", event, args, namespace, to, room, timeout, ignore_queue)
        return answer_value(self._serving().call(**question))

    async def call_async(
        self,
        event: str,
        *args: Any,
        namespace: str | None = "/",
        to: Any = None,
        room: Any = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """The form of `call` that a coroutine awaits, with the same arguments, result and errors."""
        question = self._question("call_async", event, args, namespace, to, room, timeout, ignore_queue)
        return answer_value(await self._serving().call_async(**question))

    def find_client(self, namespace: str, sid: str) -> Client | None:
        """Return a client that is connected, or is leaving; None if there is none with that sid."""
        try:
            return self._serving().client(sid, namespace)
        except NotConnectedError:
            return None

    def _serving(self) -> Server:
        if self.runtime is None:
            raise NotServingError("this SocketIO object has no server yet: call init_app(app) first")
        return self.runtime

    def _rooms(self, to: Any, room: Any, event: str, function: str = "emit") -> list[Hashable] | None:
        target = room if to is None else to
        return resolve_rooms(self._serving(), target, event, self.legacy_falsy_to, function)

    def _question(
        self,
        function: str,
        event: str,
        args: tuple[Any, ...],
        namespace: str | None,
        to: Any,
        room: Any,
        timeout: float | None,
        ignore_queue: bool,
    ) -> dict[str, Any]:
        """Return what `call` and `call_async` of the server are called with."""
        rooms = not_everybody(self._rooms(to, room, event, function), function)
        return {
            "event": event,
            "arguments": event_arguments(args, function),
            "namespace": namespace or "/",
            "rooms": rooms,
            "timeout": timeout,
            "everywhere": not ignore_queue,
        }

    def _in_context(self, callback: Callback) -> Callback:
        """Return the callback as it is, or inside the contexts of the client whose event is being handled."""
        here = current_event()
        if here is None or here.sid is None:
            return callback
        originator = self.find_client(here.namespace, here.sid)
        return callback if originator is None else self._for_originator(originator, callback)


def resolve_rooms(
    server: Server, to: Any, event: str, legacy_falsy_to: bool, function: str = "emit"
) -> list[Hashable] | None:
    """Return the rooms that `to` names, with a word in the log if it names none.

    Args:
        server: whose log it is.
        to: what the application gave.
        event: the name of the event, for the log.
        legacy_falsy_to: whether an empty `to` means everybody.
        function: what was called, for the log.

    Returns:
        The rooms; None for everybody.
    """
    if legacy_falsy_to and not to:
        return None
    rooms = rooms_of(to)
    if rooms is not None and not rooms:
        advice = "`to` must name the client that is to answer"
        if function == "emit":
            advice = "to send to everybody leave `to` out (option legacy_falsy_to)"
        server.log.rarely("empty target", "%s(%r, to=%r) reaches nobody: %s", function, event, to, advice)
    return rooms


def not_everybody(rooms: list[Hashable] | None, function: str = "call") -> list[Hashable]:
    """Return the rooms that `call` asks.

    Args:
        rooms: the rooms that were named; None for everybody.
        function: what was called, for the error.

    Raises:
        ValueError: if everybody is meant.
    """
    if rooms is None:
        raise ValueError(f"Cannot use {function}() to broadcast. Name the client that is to answer with to=")
    return rooms


def ask(
    server: Server,
    event: str,
    arguments: list[Any],
    callback: Callback,
    namespace: str,
    rooms: list[Hashable] | None,
    skip: Collection[str],
    timeout: float | None,
    *,
    everywhere: bool = True,
) -> None:
    """Send an event whose recipients are asked to acknowledge it, and call back for each that does."""

    def answered(client: Client | None, answer: list[Any]) -> None:
        server.callbacks.run(client, callback, answer)

    asked: tuple[Answered, Lost] = answered, _loss_teller(server, event)
    server.emit_with_ack(
        event,
        arguments,
        *asked,
        namespace=namespace,
        rooms=rooms,
        skip=skip,
        timeout=timeout,
        everywhere=everywhere,
    )


def _loss_teller(server: Server, event: str) -> Lost:
    def lost(client: Client | None, why: str) -> None:
        if client is None:
            server.log.rarely("asked nobody", "No callback for the event %r: %s", event, why)
            return
        server.log.rarely(
            "lost acknowledgement",
            "No acknowledgement of the event %r from the client %s: %s. The client's handler of this event "
            "must call the function that it is handed as its last argument",
            event,
            client.sid,
            why,
        )

    return lost


def with_own_sid(skip: Collection[str]) -> Collection[str]:
    """Return the sids that are left out, and that of the client whose event is being handled.

    Args:
        skip: sids that are left out anyway; outside of an event they are all.

    Raises:
        RuntimeError: if there is neither an event nor such a sid.
    """
    here = current_event()
    if here is not None and here.sid is not None:
        return (*skip, here.sid)
    if not skip:
        raise RuntimeError(
            "include_self=False needs a client to leave out, but no Socket.IO event is being handled here; "
            "name it with skip_sid="
        )
    return skip
