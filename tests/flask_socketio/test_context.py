"""What handlers see of Flask in a Socket.IO event, looked at with Flask's public objects only."""

from __future__ import annotations

import gc
import timeit
import tracemalloc
import weakref

import flask
import pytest
from entering import event
from werkzeug.exceptions import NotFound
from werkzeug.local import LocalProxy
from werkzeug.test import create_environ

from flask_socketio.context import ClientContext
from flask_socketio.session import SavedSession

ONE_CONTEXT = not hasattr(flask.globals, "_cv_request")
HOST = {"Host": "chat.example:8080", "Cookie": "color=red", "User-Agent": "a browser"}


def handshake(headers=None, **values) -> dict:
    """Make the environ of a handshake."""
    environ = create_environ(
        "/socket.io/", query_string="EIO=4&room=blue", headers={**HOST, **(headers or {})}
    )
    return {**environ, "REMOTE_ADDR": "192.0.2.7", **values}


def connect(app, environ=None, namespace="/chat") -> ClientContext:
    """Make the context of a client that has just connected."""
    return ClientContext(app, environ or handshake(), "sid-1", namespace, saved=SavedSession())


def active_contexts() -> list:
    """Return Flask's contexts of the moment."""
    proxies = [flask.globals.app_ctx] if ONE_CONTEXT else [flask.globals.app_ctx, flask.globals.request_ctx]
    return [proxy._get_current_object() for proxy in proxies]


@pytest.fixture
def app():
    """An app with one route."""
    app = flask.Flask(__name__)
    app.secret_key = "a secret"
    app.add_url_rule("/page/<name>", "page", lambda name: name)
    return app


@pytest.fixture
def client(app):
    """A client that has just connected to that app."""
    return connect(app)


def test_handler_sees_its_app_and_its_event(app, client):
    """`current_app` is the app of the handshake; `request` knows sid, namespace, event and arguments."""
    with event(client, 1, "two"):
        assert flask.current_app._get_current_object() is app
        assert flask.request.sid == "sid-1"
        assert flask.request.namespace == "/chat"
        assert flask.request.event == {"message": "talk", "args": (1, "two")}
        assert flask.has_request_context()
        assert flask.has_app_context()
    assert not flask.has_request_context()
    assert not flask.has_app_context()


def test_callback_of_an_acknowledgement_has_no_message(client):
    """The event of a callback has None for its message."""
    with event(client, message=None):
        assert flask.request.event == {"message": None, "args": ()}


@pytest.mark.parametrize(
    "name",
    [
        "path",
        "full_path",
        "url",
        "method",
        "remote_addr",
        "host",
        "scheme",
        "args",
        "cookies",
        "headers",
        "user_agent",
    ],
)
def test_request_is_the_one_of_the_handshake(app, client, name):
    """What a handler reads from `request` is what Flask's own request context gives for that environ."""
    with app.request_context(handshake()):
        expected = str(getattr(flask.request, name))
    with event(client):
        assert str(getattr(flask.request, name)) == expected


def test_environ_is_the_handshakes_own_dict(app):
    """`request.environ` is the very dict of the handshake in each event, and names the app."""
    environ = handshake()
    client = connect(app, environ)
    for _ in range(2):
        with event(client):
            assert flask.request.environ is environ
            assert environ["flask.app"] is app
    assert "werkzeug.request" not in environ  # it would tie each client into a cycle


def test_event_leads_to_no_route(app, client):
    """An event has no endpoint and NotFound as routing exception, even where a route takes every path."""
    app.add_url_rule("/<path:anything>", "everything", lambda anything: anything)
    with event(client):
        assert flask.request.endpoint is None
        assert flask.request.url_rule is None
        assert flask.request.blueprint is None
        assert flask.request.blueprints == []
        assert flask.request.view_args is None
        assert isinstance(flask.request.routing_exception, NotFound)
        assert flask.request.routing_exception.get_response().status_code == 404


def test_routing_exception_is_not_shared_between_events(client):
    """Raising an event's routing exception leaves no traceback for the next event."""
    with event(client), pytest.raises(NotFound):
        raise flask.request.routing_exception
    with event(client):
        assert flask.request.routing_exception.__traceback__ is None


def test_untrusted_host_is_refused_as_flask_refuses_it(app):
    """The routing exception is Flask's own for that host, and the URL adapter is missing as it is there."""
    app.config["TRUSTED_HOSTS"] = ["other.example"]
    with app.request_context(handshake()):
        expected = type(flask.request.routing_exception)
        adapter_is_there = active_contexts()[-1].url_adapter is not None
    with event(connect(app)):
        assert isinstance(flask.request.routing_exception, expected)
        assert flask.request.routing_exception.__traceback__ is None
        assert (active_contexts()[-1].url_adapter is not None) == adapter_is_there


def test_request_class_of_the_app_is_honoured(app):
    """`request` is of the app's own request class, and is closed by the class's own `close`."""
    closed = []

    class Request(flask.Request):
        def close(self):
            closed.append(self.sid)

    app.request_class = Request
    with event(connect(app)):
        assert type(flask.request._get_current_object()) is Request
    assert closed == ["sid-1"]


def test_request_is_a_copy_for_each_event(client):
    """What a handler sets on `request` is gone in the next event."""
    with event(client):
        flask.request.mine = 1
        flask.request.namespace = "/other"
    with event(client):
        assert not hasattr(flask.request, "mine")
        assert flask.request.namespace == "/chat"


def test_g_is_fresh_in_each_event(app, client):
    """`g` is new in each event, and of the class that the app names."""

    class Globals(flask.ctx._AppCtxGlobals):
        pass

    app.app_ctx_globals_class = Globals
    with event(client):
        flask.g.mine = 1
        assert type(flask.g._get_current_object()) is Globals
    with event(client):
        assert "mine" not in flask.g


def test_user_kept_on_g_is_loaded_once_an_event(client):
    """A `current_user` that is kept on `g`, as Flask-Login's is, is loaded once in each event."""
    loaded = []

    def load():
        if "user" not in flask.g:
            loaded.append(flask.request.sid)
            flask.g.user = f"user {len(loaded)}"
        return flask.g.user

    current_user = LocalProxy(load)
    for number in (1, 2):
        with event(client):
            assert current_user == f"user {number}"
            assert current_user.upper() == f"USER {number}"
    assert loaded == ["sid-1", "sid-1"]


@pytest.mark.filterwarnings("ignore:Current server name")  # Flask 3.0 says so when the two differ
@pytest.mark.parametrize("server_name", [None, "site.example"])
@pytest.mark.parametrize("options", [{}, {"_external": True}, {"_external": True, "_scheme": "https"}])
def test_url_for_builds_what_it_builds_in_a_request(app, client, server_name, options):
    """URLs equal those that Flask builds for the handshake, with and without SERVER_NAME."""
    app.config["SERVER_NAME"] = server_name
    with app.request_context(handshake()):
        expected = flask.url_for("page", name="one", **options)
    with event(client):
        assert flask.url_for("page", name="one", **options) == expected
    if not server_name and not options:
        assert expected == "/page/one"


def test_templates_see_the_event(app, client):
    """Templates have request, session, g, what context processors add, flashed messages and `url_for`."""
    app.context_processor(lambda: {"added": "yes"})
    source = "{{ request.sid }} {{ session.name }} {{ g.x }} {{ added }} {{ get_flashed_messages()[0] }}"
    source += " {{ url_for('page', name=1) }}"
    with event(client):
        flask.session["name"] = "Ada"
        flask.g.x = 3
        flask.flash("hello")
        assert flask.render_template_string(source) == "sid-1 Ada 3 yes hello /page/1"


def test_flashed_messages_last_to_the_event_that_reads_them(client):
    """A flashed message lies in the session until an event has read it, and stays readable in that event."""
    with event(client):
        flask.flash("hello", "greeting")
    with event(client):
        assert flask.get_flashed_messages(with_categories=True) == [("greeting", "hello")]
        assert flask.get_flashed_messages() == ["hello"]
    with event(client):
        assert flask.get_flashed_messages() == []


def test_hooks_of_http_requests_do_not_run(app, client):
    """Neither before_request, after_request, after_this_request nor Flask's error handlers run."""
    ran = []
    app.before_request(lambda: ran.append("before"))
    app.after_request(lambda response: ran.append("after") or response)
    app.register_error_handler(ValueError, lambda error: ran.append("error") or "")
    with pytest.raises(ValueError, match="mine"), event(client):  # noqa: PT012
        flask.after_this_request(lambda response: ran.append("this") or response)
        raise ValueError("mine")
    assert ran == []


@pytest.mark.parametrize("kind", ["teardown_request", "teardown_appcontext"])
def test_teardown_function_gets_the_exception(app, client, kind):
    """A teardown function gets the exception that left the handler, or None, inside the contexts."""
    got = []
    getattr(app, kind)(lambda error: got.append((error, flask.current_app.name)))
    with event(client):
        pass
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine"), event(client):
        raise error
    assert got == [(None, app.name), (error, app.name)]
    assert not flask.has_app_context()


@pytest.mark.skipif(ONE_CONTEXT, reason="Flask 3.2 tears both down in one step")
def test_teardown_of_the_app_alone_makes_no_request(app, client):
    """An event that does not look at its request pays for none, also beside a database extension."""
    ran = []
    app.teardown_appcontext(ran.append)
    with event(client):
        pass
    client.request_values = None  # the first event of a connection needs it for the session
    with event(client):
        pass
    assert (ran, client.request_values) == ([None, None], None)
    assert not flask.has_app_context()


def test_teardown_of_the_request_comes_before_that_of_the_app(app, client):
    """teardown_request functions run first, and still see the request."""
    ran = []
    app.teardown_appcontext(lambda error: ran.append("app"))
    app.teardown_request(lambda error: ran.append(flask.request.sid))
    with event(client):
        pass
    assert ran == ["sid-1", "app"]


def test_teardown_of_a_flask_subclass_runs(client):
    """An app class that overrides what runs its teardown functions has it run."""
    ran = []

    class WithContext(flask.Flask):
        def do_teardown_request(self, ctx, exc=None):
            ran.append(exc)

    class WithoutContext(flask.Flask):
        def do_teardown_request(self, exc=None):
            ran.append(exc)

    app = (WithContext if ONE_CONTEXT else WithoutContext)(__name__)
    with event(connect(app)):
        pass
    assert ran == [None]


def test_failing_teardown_leaves_the_contexts(app, client):
    """An exception of a teardown function is raised, and no context stays behind."""
    app.teardown_request(lambda error: 1 / 0)
    # Flask 3.2 raises what failed as a group.
    with pytest.raises(Exception, match=r"division|teardown"), event(client):
        pass
    assert not flask.has_app_context()


@pytest.mark.parametrize(
    "name", ["appcontext_pushed", "request_tearing_down", "appcontext_tearing_down", "appcontext_popped"]
)
def test_signal_is_sent_to_its_receiver(app, client, name):
    """Each signal of entering and leaving the contexts reaches its receiver, once an event, if it has one."""
    sent = []

    def receive(sender, **extra):
        sent.append(sender)

    with getattr(flask, name).connected_to(receive, app):
        for number in (1, 2):
            with event(client):
                assert len(sent) == (number if name == "appcontext_pushed" else number - 1)
            assert sent == [app] * number


def test_failing_receiver_leaves_the_contexts(app, client):
    """What a receiver of `appcontext_pushed` raises is raised, and no context stays behind."""

    def fail(sender, **extra):
        raise LookupError("mine")

    with flask.appcontext_pushed.connected_to(fail, app), pytest.raises(LookupError), event(client):
        pytest.fail("the handler ran")
    assert not flask.has_app_context()


def test_contexts_have_every_attribute_of_flasks_own(app, client):
    """Whatever Flask's contexts carry an event's carry too: a new attribute of Flask fails here first."""
    with app.request_context(handshake()):
        expected = [set(vars(context)) for context in active_contexts()]
    with event(client):
        for context, names in zip(active_contexts(), expected, strict=True):
            assert [name for name in names if not hasattr(context, name)] == []


def test_event_leaves_nothing_to_the_garbage_collector(client):
    """Request and g are freed when the event ends, without a collection."""
    gc.disable()
    try:
        with event(client):
            ends = [
                weakref.ref(flask.request._get_current_object()),
                weakref.ref(flask.g._get_current_object()),
            ]
        assert [end() for end in ends] == [None, None]
    finally:
        gc.enable()


def test_client_is_small_before_its_first_event(app):
    """A client costs under 200 bytes before its first event, and under 1.5 KiB from then on."""
    with event(connect(app)):
        pass
    count = 1000  # so many that what other threads take meanwhile does not count
    # With room for the keys of Flask and Werkzeug, or the growth of the dict would be counted.
    environs = [handshake(**{"flask.app": app, "werkzeug.request": None}) for _ in range(count)]
    clients = [None] * count
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number, environ in enumerate(environs):
            clients[number] = connect(app, environ)
        idle = tracemalloc.get_traced_memory()[0]
        for client in clients:
            with event(client):
                pass
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (idle - before) / count < 200
    assert (used - before) / count < 1536


def test_event_is_much_cheaper_than_flasks_request_context(app, client):
    """An event costs less than a fifth of Flask's own request context (measured: a fifteenth)."""
    environ = handshake()

    def enter_event():
        with event(client):
            pass

    def enter_request():
        with app.request_context(environ):
            pass

    ours, flasks = (min(timeit.repeat(enter, number=200, repeat=5)) for enter in (enter_event, enter_request))
    assert ours < flasks / 5
