"""What `flask.session` is in a Socket.IO event, with each kind of session interface."""

from __future__ import annotations

import threading
from datetime import timedelta

import flask
import pytest
from entering import event
from flask.sessions import SecureCookieSessionInterface, SessionInterface, SessionMixin
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from werkzeug.test import create_environ

from flask_socketio.context import ClientContext
from flask_socketio.session import ManagedSession, SavedSession


class StoredSession(dict, SessionMixin):
    """A session on the server's side that knows whether it was modified."""

    modified = False

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.modified = True


class BareSession(dict):
    """A session that cannot tell whether it was modified."""


class StoredSessions(SessionInterface):
    """Keeps the one session of all clients in a dict, and notes each call."""

    def __init__(self, session_class=StoredSession, **stored):
        self.session_class, self.stored, self.calls, self.fails = session_class, stored, [], False

    def open_session(self, app, request):
        """Copy what is stored."""
        self.calls.append(f"open {request.path}")
        if self.fails:
            raise OSError("the store is down")
        return self.session_class(self.stored)

    def save_session(self, app, session, response):
        """Store a copy."""
        assert isinstance(response, app.response_class)
        self.calls.append("save")
        if self.fails:
            raise OSError("the store is down")
        self.stored = dict(session)


@pytest.fixture
def app():
    """An app with Flask's own session interface."""
    app = flask.Flask(__name__)
    app.secret_key = "a secret"
    return app


def connect(app, cookie=None, saved=None, namespace="/") -> ClientContext:
    """Make the context of a client whose handshake carried this session in a cookie."""
    environ = create_environ("/socket.io/")
    if cookie is not None:
        value = app.session_interface.get_signing_serializer(app).dumps(cookie)
        environ["HTTP_COOKIE"] = f"session={value}"
    return ClientContext(app, environ, "sid-1", namespace, saved=saved or SavedSession())


def test_fork_starts_as_the_session_of_the_handshake(app):
    """With manage_session=True the session holds what the cookie holds, and keeps what handlers put there."""
    client = connect(app, {"user": "Ada"})
    with event(client):
        assert flask.session["user"] == "Ada"
        flask.session["count"] = 1
    with event(client):
        assert dict(flask.session) == {"user": "Ada", "count": 1}


def test_fork_has_the_attributes_of_a_session(app):
    """The fork is a dict with SessionMixin's attributes; it counts as modified, and keeps `permanent`."""
    with event(connect(app)):
        assert isinstance(flask.session._get_current_object(), ManagedSession)
        assert isinstance(flask.session._get_current_object(), dict)
        assert flask.session.modified is True
        assert flask.session.new is False
        assert flask.session.permanent is False
        flask.session.permanent = True
        assert dict(flask.session) == {"_permanent": True}


def test_fork_is_shared_by_the_namespaces_of_a_connection(app):
    """What one namespace puts into the session the other reads; another connection does not."""
    saved = SavedSession()
    one, other = connect(app, saved=saved), connect(app, saved=saved, namespace="/other")
    with event(one):
        flask.session["x"] = 1
    with event(other):
        assert flask.session["x"] == 1
    with event(connect(app)):
        assert "x" not in flask.session


def test_fork_lies_in_the_environ(app):
    """`request.environ["saved_session"]` is the fork, where applications of Flask-SocketIO look for it."""
    client = connect(app)
    with event(client):
        flask.session["x"] = 1
        assert flask.request.environ["saved_session"] is flask.session._get_current_object()


def test_fork_is_made_once_for_threads_that_ask_together(app):
    """Threads that open the session of a connection at the same moment get the same fork."""
    all_are_opening, seen = threading.Barrier(4, timeout=5), []

    class Interface(SecureCookieSessionInterface):
        def get_signing_serializer(self, app):
            all_are_opening.wait()
            return super().get_signing_serializer(app)

    client = connect(app)
    app.session_interface = Interface()

    def handle():
        with event(client):
            seen.append(flask.session._get_current_object())

    threads = [threading.Thread(target=handle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert all(session is seen[0] is client.environ["saved_session"] for session in seen)


def test_server_side_session_is_forked_at_the_first_event(app):
    """The fork shows the store as of the first event, though no handler asked then; it is asked once."""
    app.session_interface = store = StoredSessions(user="Ada")
    client = connect(app)
    with event(client):
        pass
    assert store.calls == ["open /socket.io/"]
    store.stored["user"] = "Grace"
    with event(client):
        assert flask.session["user"] == "Ada"
        flask.session["user"] = "Joan"
    assert store.calls == ["open /socket.io/"]
    assert store.stored == {"user": "Grace"}


def test_interface_that_opens_its_own_way_is_asked_at_the_first_event(app):
    """A subclass of Flask's cookie interface with its own `open_session` may look anywhere: no delay."""
    opened = []

    class Interface(SecureCookieSessionInterface):
        def open_session(self, app, request):
            opened.append(flask.request.sid)
            return super().open_session(app, request)

    app.session_interface = Interface()
    with event(connect(app)):
        assert opened == ["sid-1"]


def test_cookie_is_not_read_before_a_handler_asks(app):
    """Flask's own interface verifies the cookie at the first look, not before."""
    read = []

    class Interface(SecureCookieSessionInterface):
        def get_signing_serializer(self, app):
            read.append(app.name)
            return super().get_signing_serializer(app)

    client = connect(app, {"user": "Ada"})
    app.session_interface = Interface()
    with event(client):
        assert read == []
        assert flask.session["user"] == "Ada"
        assert flask.session["user"] == "Ada"
    assert read == [app.name]


def test_late_look_finds_the_session_of_the_first_event(app):
    """A cookie counts at the first look, long after its lifetime, if it was valid at the first event."""
    now = [1_000_000]

    class Signer(TimestampSigner):
        def get_timestamp(self):
            return now[0]

    class Interface(SecureCookieSessionInterface):
        def get_signing_serializer(self, app):
            return URLSafeTimedSerializer(app.secret_key, signer=Signer, serializer=self.serializer)

    class Saved(SavedSession):
        @staticmethod
        def clock():
            return now[0] + 0.5

    app.session_interface = Interface()
    app.permanent_session_lifetime = timedelta(seconds=60)
    valid, expired = (connect(app, {"user": "Ada"}, Saved()) for _ in range(2))
    now[0] += 60
    with event(valid):
        pass
    now[0] += 1
    with event(expired):
        pass
    now[0] += 3600
    with event(valid):
        assert flask.session["user"] == "Ada"
    with event(expired):
        assert dict(flask.session) == {}


def test_fork_is_writable_without_a_secret_key(app):
    """Without SECRET_KEY the fork is empty, and keeps what handlers write."""
    app.secret_key = None
    client = connect(app)
    with event(client):
        assert flask.session.get("x") is None
        flask.session["x"] = 1
    with event(client):
        assert flask.session["x"] == 1


def test_flasks_session_is_read_only_without_a_secret_key(app):
    """With manage_session=False and no SECRET_KEY reading works and writing raises Flask's error."""
    app.secret_key = None
    with event(connect(app), manage_session=False):
        assert flask.session.get("x") is None
        with pytest.raises(RuntimeError, match="secret key"):
            flask.session["x"] = 1


def test_null_session_is_not_saved(app):
    """Where the interface has no session, there is nothing to save, as in an HTTP request."""
    app.session_interface = store = StoredSessions(session_class=lambda stored: None)
    with event(connect(app), manage_session=False):
        flask.session.modified = True
    assert store.calls == ["open /socket.io/"]


def test_cookie_session_is_frozen_where_flask_manages_it(app):
    """With manage_session=False each event reads the handshake's cookie anew, and no change lasts."""
    client = connect(app, {"user": "Ada"})
    for _ in range(2):
        with event(client, manage_session=False):
            assert dict(flask.session) == {"user": "Ada"}
            flask.session["user"] = "Grace"
            assert flask.session["user"] == "Grace"


@pytest.mark.parametrize(
    ("session_class", "touch", "calls"),
    [
        (StoredSession, None, []),
        (StoredSession, lambda: flask.session.get("user"), ["open /socket.io/"]),
        (StoredSession, lambda: flask.session.update({}) or flask.session.get("x"), ["open /socket.io/"]),
        (StoredSession, lambda: flask.session.__setitem__("x", 1), ["open /socket.io/", "save"]),
        (BareSession, None, []),
        (BareSession, lambda: flask.session.get("user"), ["open /socket.io/", "save"]),
    ],
)
def test_server_side_session_is_opened_when_touched_and_saved_when_modified(app, session_class, touch, calls):
    """With manage_session=False the first look asks the store, and what changed, or may have, goes back."""
    app.session_interface = store = StoredSessions(session_class, user="Ada")
    client = connect(app)
    for number in (1, 2):
        with event(client, manage_session=False):
            if touch:
                touch()
        assert store.calls == calls * number


def test_http_and_socket_share_a_server_side_session(app):
    """With manage_session=False a handler sees what HTTP requests wrote, and they see what it wrote."""
    app.session_interface = store = StoredSessions(user="Ada")
    client = connect(app)
    with event(client, manage_session=False):
        flask.session["seen"] = flask.session["user"]
    store.stored["user"] = "Grace"
    with event(client, manage_session=False):
        assert dict(flask.session) == {"user": "Grace", "seen": "Ada"}


def test_session_is_saved_unless_an_exception_leaves_the_event(app):
    """An exception handled inside the event keeps the session's changes; one that leaves it loses them."""
    app.session_interface = store = StoredSessions()
    client = connect(app)
    with event(client, manage_session=False):
        flask.session["x"] = 1
        with pytest.raises(KeyError):
            flask.session["absent"]
    assert store.stored == {"x": 1}
    with pytest.raises(KeyError), event(client, manage_session=False):  # noqa: PT012
        flask.session["x"] = 2
        flask.session["absent"]
    assert store.stored == {"x": 1}


def test_option_is_honoured_for_each_event(app):
    """An application may turn manage_session off and on between events: the fork is still there."""
    client = connect(app, {"user": "Ada"})
    with event(client):
        flask.session["user"] = "Grace"
    with event(client, manage_session=False):
        assert flask.session["user"] == "Ada"
    with event(client):
        assert flask.session["user"] == "Grace"


def test_store_that_fails_to_open_refuses_the_event(app):
    """The exception comes out of entering the first event, after the teardown; the next event asks again."""
    torn = []
    app.teardown_request(torn.append)
    app.session_interface = store = StoredSessions(user="Ada")
    client, store.fails = connect(app), True
    with pytest.raises(OSError, match="down") as caught, event(client):
        pytest.fail("the handler ran")
    assert torn == [caught.value]
    assert not flask.has_app_context()
    store.fails = False
    with event(client):
        pass
    store.stored = {}
    with event(client):
        assert flask.session["user"] == "Ada"


def test_store_that_fails_later_fails_where_it_is_asked(app):
    """With manage_session=False opening raises in the handler, and saving as the event is left."""
    torn = []
    app.teardown_request(torn.append)
    app.session_interface = store = StoredSessions()
    client, store.fails = connect(app), True
    with event(client, manage_session=False), pytest.raises(OSError, match="down"):
        flask.session.get("x")
    store.fails = False
    with pytest.raises(OSError, match="down") as caught, event(client, manage_session=False):  # noqa: PT012
        flask.session["x"] = 1
        store.fails = True
    assert torn == [None, caught.value]
    assert not flask.has_app_context()


def test_session_can_be_replaced_for_an_event(app):
    """Extensions that put another session into Flask's context see it in `flask.session` for that event."""
    client = connect(app)
    with event(client):
        context = (
            flask.globals.app_ctx if hasattr(flask.globals.app_ctx, "session") else flask.globals.request_ctx
        )
        context._session = replacement = StoredSession(user="Ada")
        assert flask.session._get_current_object() is replacement
    with event(client):
        assert "user" not in flask.session
