"""How the contexts of a Socket.IO event nest, overlap with others, and go elsewhere."""

from __future__ import annotations

import asyncio
import threading

import flask
import pytest
from entering import event
from werkzeug.test import create_environ

from flask_socketio.context import ClientContext
from flask_socketio.session import SavedSession


@pytest.fixture
def app():
    """An app with a route for every path."""
    app = flask.Flask(__name__)
    app.secret_key = "a secret"
    app.add_url_rule("/page/<name>", "page", lambda name: name)
    app.add_url_rule("/<path:anything>", "everything", lambda anything: anything)
    return app


@pytest.fixture
def client(app):
    """A client that has just connected to that app."""
    return ClientContext(app, create_environ("/socket.io/"), "sid-1", "/chat", saved=SavedSession())


shares = hasattr(flask.globals, "_cv_request")  # whether Flask's own push shares an app context: before 3.2


@pytest.mark.parametrize("with_teardown", [False, True])
def test_outer_request_comes_back_after_a_nested_event(app, client, with_teardown):
    """An event in an HTTP request, and one in that event, have their own request and restore the others'."""
    if with_teardown:
        app.teardown_request(lambda error: None)
    with app.test_request_context("/page/outer"):
        flask.g.mine = "outer"
        with event(client, "first"):
            with pytest.raises(ValueError, match="inner"), event(client, "second"):  # noqa: PT012
                assert flask.request.event["args"] == ("second",)
                raise ValueError("inner")
            assert flask.request.event["args"] == ("first",)
        assert (flask.request.path, flask.request.endpoint, flask.g.mine) == ("/page/outer", "page", "outer")
        assert not hasattr(flask.request, "sid")


@pytest.mark.parametrize("with_teardown", [False, True])
def test_event_shares_the_app_context_of_a_test_as_a_request_of_flask_does(app, client, with_teardown):
    """With it `g`, and a session of SQLAlchemy; what ends it is the test. Flask 3.2 shares none."""
    ends, begins = [], []
    app.teardown_appcontext(ends.append)
    if with_teardown:
        app.teardown_request(lambda error: None)
    with app.app_context(), flask.appcontext_pushed.connected_to(begins.append, app):
        flask.g.mine = "test"
        with event(client):
            assert flask.g.get("mine") == ("test" if shares else None)
            assert flask.url_for("page", name=1) == "/page/1"
            flask.g.mine = "event"
        assert flask.g.mine == ("event" if shares else "test")
        assert (len(begins), len(ends)) == ((0, 0) if shares else (1, 1))
    assert len(ends) == len(begins) + 1
    with event(client):
        assert "mine" not in flask.g


def test_event_of_another_app_comes_back_to_the_outer_app(app, client):
    """An event inside another app's context is the first app's, and restores the other."""
    other = flask.Flask("other")
    with other.app_context(), event(client):
        assert flask.current_app._get_current_object() is app
    with other.app_context():
        with event(client):
            pass
        assert flask.current_app._get_current_object() is other


def test_app_context_inside_a_handler(app, client):
    """`with app.app_context()` in a handler has its own g, and comes back to the event's."""
    with event(client):
        flask.g.mine = 1
        with app.app_context():
            assert "mine" not in flask.g
        assert flask.g.mine == 1
        assert flask.request.sid == "sid-1"


@pytest.mark.parametrize("manage_session", [False, True])
def test_copied_context_works_in_another_thread(client, manage_session):
    """`copy_current_request_context` carries request and session, not g, into a thread that goes on."""
    seen, may_run = [], threading.Event()
    with event(client, "x", manage_session=manage_session):
        flask.session["name"] = "Ada"
        flask.g.mine = 1

        @flask.copy_current_request_context
        def work():
            assert may_run.wait(5)
            seen.append(
                (
                    flask.request.event["args"],
                    flask.request.endpoint,
                    flask.session["name"],
                    "mine" in flask.g,
                )
            )
            seen.append(flask.url_for("page", name=1))

        thread = threading.Thread(target=work)
        thread.start()
    may_run.set()
    thread.join()
    assert seen == [(("x",), None, "Ada", False), "/page/1"]


def test_stream_is_read_inside_the_handler(app, client):
    """A generator of `stream_with_context` has the contexts, and its end tears down nothing of the event."""
    torn = []
    app.teardown_request(torn.append)
    with event(client):
        stream = flask.stream_with_context(flask.request.sid + str(number) for number in range(2))
        assert list(stream) == ["sid-10", "sid-11"]
        assert (flask.request.sid, flask.request.endpoint, torn) == ("sid-1", None, [])
    assert torn == [None]
    assert not flask.has_app_context()


@pytest.mark.parametrize("with_teardown", [False, True])
@pytest.mark.parametrize("begins", ["inside", "after"])
def test_stream_is_read_after_the_event(app, client, with_teardown, begins):
    """A stream that outlives its event still sees the request, and leaves no context at its end."""
    if with_teardown:
        app.teardown_request(lambda error: None)
    with event(client):
        flask.session["name"] = "Ada"
        stream = flask.stream_with_context(flask.request.sid + flask.session["name"] for _ in range(2))
        read = [next(stream)] if begins == "inside" else []
    assert read + list(stream) == ["sid-1Ada", "sid-1Ada"]
    assert not flask.has_app_context()


def test_overlapping_events_in_threads_see_their_own(client):
    """Two threads in events of one client see their own event and g."""
    both_are_in, seen = threading.Barrier(2, timeout=5), {}

    def handle(number):
        with event(client, number):
            flask.g.number = number
            both_are_in.wait()
            seen[number] = (flask.request.event["args"], flask.g.number, flask.request.sid)
            both_are_in.wait()

    threads = [threading.Thread(target=handle, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: ((number,), number, "sid-1") for number in range(2)}


def test_overlapping_events_in_tasks_see_their_own(client):
    """Coroutines in events of one client see their own event and g across an await."""

    async def handle(number):
        with event(client, number):
            flask.g.number = number
            await asyncio.sleep(0.001)
            return flask.request.event["args"], flask.g.number

    async def main():
        return await asyncio.gather(*(handle(number) for number in range(3)))

    assert asyncio.run(main()) == [((number,), number) for number in range(3)]
    assert not flask.has_app_context()
