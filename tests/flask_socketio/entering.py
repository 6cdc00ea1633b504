"""Enters the contexts of an event as the dispatch does, for the tests of those contexts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask_socketio.context import ClientContext, Context


@contextmanager
def event(
    client: ClientContext, *args: object, message: str | None = "talk", manage_session: bool = True
) -> Iterator[None]:
    """Be inside the contexts of one event."""
    context = Context(client, client.saved if manage_session else None, message, args)
    context.begin()
    try:
        yield
    except BaseException as error:
        context.end(error)
        raise
    context.end(None)
