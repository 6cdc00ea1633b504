"""What `flask.session` is in a Socket.IO event.

With `manage_session=True` it is a fork: a copy of Flask's session as it stood at the connection's first
event, shared by the connection's namespaces. With `manage_session=False` it is Flask's own, opened and saved
once per event.

This module knows session interfaces. It must not touch Flask's contexts, which `context.py` does.
"""

from __future__ import annotations

import time
from datetime import timedelta
from threading import Lock
from typing import Any, cast

from flask import Flask, Request
from flask.sessions import SecureCookieSessionInterface, SessionInterface, SessionMixin

# One lock for all connections: it is held for an assignment, never while a session is opened.
_forking = Lock()


class ManagedSession(dict[str, Any], SessionMixin):
    """The fork: a dict with the attributes of a Flask session. Nothing saves it, so `modified` stays True."""


class SavedSession:
    """The fork of one connection, shared by its namespaces for as long as the connection lives.

    It shows the session as it stood at the first event. One that lies in the handshake's cookie can no longer
    change, so it is read when a handler first asks for it; any other interface is asked in the first event.
    """

    __slots__ = ("_fork", "began")

    def __init__(self) -> None:
        self._fork: ManagedSession | None = None
        self.began: int | None = None

    @staticmethod
    def clock() -> float:
        """Tell the seconds since the epoch, as in the timestamps that Flask signs into its cookies."""
        return time.time()

    def begin(self, app: Flask, request: Request) -> None:
        """Fix the moment whose session the fork shows: call it in the first event, while `began` is None.

        Args:
            app: the app that accepted the handshake.
            request: the handshake's request.
        """
        now = int(self.clock())
        if not _lies_in_cookie(app.session_interface):
            self._fork_once(_open(app, request), request)
        self.began = now

    def open(self, app: Flask, request: Request) -> ManagedSession:
        """Return the fork, which is made now if nobody has asked for it yet.

        Args:
            app: the app that accepted the handshake.
            request: the handshake's request.
        """
        if self._fork is not None:
            return self._fork
        elapsed = 0 if self.began is None else int(self.clock()) - self.began
        app_of_then = cast("Flask", _AppOfThen(app, elapsed)) if elapsed > 0 else app
        return self._fork_once(_open(app_of_then, request), request)

    def _fork_once(self, session: SessionMixin, request: Request) -> ManagedSession:
        fork = ManagedSession(session)
        with _forking:
            if self._fork is None:
                self._fork = fork
                # Applications look it up under this key, where Flask-SocketIO keeps it.
                request.environ["saved_session"] = fork
            return self._fork


class EventSession:
    """The part of an event's context that is its session, opened when it is first read.

    Attributes:
        app: the app that accepted the handshake.
        request: the event's request.
        saved: the connection's session; None where Flask manages the session.
        opened_session: the session, once it was read.
    """

    app: Flask
    request: Request
    saved: SavedSession | None
    opened_session: SessionMixin | None = None

    def read_session(self) -> SessionMixin:
        """Return the session of this event."""
        if self.opened_session is None:
            opener = _open if self.saved is None else self.saved.open
            self.opened_session = opener(self.app, self.request)
        return self.opened_session

    def write_session(self, session: SessionMixin) -> None:
        """Put another session in its place, for this event."""
        self.opened_session = session

    def save_session(self) -> None:
        """Save Flask's own session if it was read, and was modified or cannot tell.

        No response goes out to carry a cookie, so only a session on the server's side lasts.
        """
        session, interface = self.opened_session, self.app.session_interface
        if session is None or self.saved is not None or interface.is_null_session(session):
            return
        if getattr(session, "modified", True):
            interface.save_session(self.app, session, self.app.response_class())


class _AppOfThen:
    """An app whose session lifetime is longer by the seconds that passed since the connection's first event.

    A cookie that was valid then must not be expired when a handler first looks at it: a login would be lost.
    """

    def __init__(self, app: Flask, elapsed: int) -> None:
        self._app = app
        self.permanent_session_lifetime = app.permanent_session_lifetime + timedelta(seconds=elapsed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


def _open(app: Flask, request: Request) -> SessionMixin:
    session = app.session_interface.open_session(app, request)
    return app.session_interface.make_null_session(app) if session is None else session


def _lies_in_cookie(interface: SessionInterface) -> bool:
    return getattr(interface.open_session, "__func__", None) is SecureCookieSessionInterface.open_session
