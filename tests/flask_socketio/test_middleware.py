"""The WSGI middleware around an application."""

from __future__ import annotations

import asyncio

from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_socketio import SocketIO
from flask_socketio.middleware import find_early_proxy_fix


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


class Deny:
    """Middleware that answers everything itself."""

    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app

    def __call__(self, environ, start_response):
        """Answer."""
        write = start_response("401 Unauthorized", [("X-Why", "nobody"), ("Content-Length", "7")])
        write(b"go ")
        return [b"away"]


class Prefix:
    """Middleware that is a generator, and forgets to close what it wraps."""

    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app

    def __call__(self, environ, start_response):
        """Pass on, changed."""
        yield from self.wsgi_app({**environ, "HTTP_X_ADDED": "yes"}, start_response)


ENVIRON = {
    "PATH_INFO": "/socket.io/",
    "QUERY_STRING": "EIO=4&transport=polling",
    "REQUEST_METHOD": "GET",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "localhost",
    "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    "wsgi.url_scheme": "http",
}


def test_environment_comes_back_as_middleware_made_it(app, socketio):
    """Through all of it, whatever its kind, with the application in it."""
    app.wsgi_app = ProxyFix(Prefix(app.wsgi_app))
    middleware = socketio.sockio_mw
    assert middleware.wraps
    environ = middleware.rewrite(dict(ENVIRON))
    assert (environ["REMOTE_ADDR"], environ["HTTP_X_ADDED"]) == ("192.0.2.1", "yes")
    assert environ["flask.app"] is app
    assert not any("carboy" in name for name in environ)


def test_environment_is_left_alone_without_middleware(app, socketio):
    """But for the application."""
    middleware = socketio.sockio_mw
    assert not middleware.wraps
    assert middleware.rewrite(dict(ENVIRON)) == {**ENVIRON, "flask.app": app}


def test_middleware_that_answers_itself_refuses(app, socketio):
    """What it wrote and what it returned is the answer; its length is counted anew."""
    app.wsgi_app = Deny(app.wsgi_app)
    reply = socketio.sockio_mw.rewrite(dict(ENVIRON))
    assert (reply.status, reply.headers, reply.body) == (401, [("X-Why", "nobody")], b"go away")


async def ask(application, query="EIO=4&transport=polling"):
    """Send a request to an ASGI application, and return status and body."""
    sent = []
    headers = [(b"host", b"localhost"), (b"x-forwarded-for", b"192.0.2.1"), (b"origin", b"https://localhost")]
    headers.append((b"x-forwarded-proto", b"https"))
    scope = {"type": "http", "method": "GET", "path": "/socket.io/", "query_string": query.encode()}

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    await application({**scope, "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_proxy_fix_decides_on_origins_behind_asgi(app, socketio):
    """The page that a proxy delivered over https is at home here."""
    assert asyncio.run(ask(socketio.asgi_app)) == (400, b'{"code":3,"message":"Not an accepted origin"}')
    app.wsgi_app = ProxyFix(app.wsgi_app)
    status, body = asyncio.run(ask(socketio.asgi_app))
    assert (status, body[:7]) == (200, b'0{"sid"')
    (connection,) = socketio.runtime.connections.values()
    assert connection.environ["REMOTE_ADDR"] == "192.0.2.1"
    assert connection.environ["flask.app"] is app


def test_middleware_that_answers_refuses_behind_asgi(app, socketio):
    """A client that it turns away opens no session."""
    app.wsgi_app = Deny(app.wsgi_app)
    assert asyncio.run(ask(socketio.asgi_app)) == (401, b"go away")
    assert not socketio.runtime.connections


def test_proxy_fix_that_was_put_on_too_early_is_told(app, caplog):
    """It would see no request of Socket.IO."""
    app.wsgi_app = Prefix(ProxyFix(app.wsgi_app))
    SocketIO(app)
    assert "put it on after" in caplog.text
    assert find_early_proxy_fix(ProxyFix(None))


def test_proxy_fix_in_its_place_is_not_told(app, caplog):
    """Also when init_app is called again."""
    socketio = SocketIO(app)
    app.wsgi_app = ProxyFix(app.wsgi_app)
    assert not caplog.text
    assert not find_early_proxy_fix(app.wsgi_app.app.wsgi_app)
    assert socketio.sockio_mw.wraps
