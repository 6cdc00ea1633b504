"""The WSGI middleware around an application."""

from __future__ import annotations

from flask import request


def test_requests_reach_flask_with_the_app_in_the_environ(app, socketio):
    """All but those below the Socket.IO path, and the caller's environ is left alone."""
    app.add_url_rule("/<path:path>", "page", lambda path: [path, request.environ["flask.app"] is app])
    environ = {"REMOTE_ADDR": "192.0.2.1"}
    browser = app.test_client()
    assert browser.get("/page", environ_base=environ).json == ["page", True]
    assert browser.get("/socket.iodine").json == ["socket.iodine", True]
    assert environ == {"REMOTE_ADDR": "192.0.2.1"}


def test_middleware_shows_what_it_is_made_of(app, socketio):
    """Applications hand it to web servers, and look at the server behind it."""
    middleware = socketio.sockio_mw
    assert app.wsgi_app is middleware
    assert middleware.engineio_app is socketio.server
    assert middleware.flask_app is app
    assert middleware.engineio_path == "/socket.io/"
