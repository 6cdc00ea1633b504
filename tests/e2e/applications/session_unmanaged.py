"""Handlers that use Flask's own session, kept on the server."""

from __future__ import annotations

import json
import os
import secrets

from flask import Flask, session
from flask.sessions import SessionInterface, SessionMixin

from flask_socketio import SocketIO

app = Flask(__name__)


class StoredSession(dict, SessionMixin):
    """A session of which the browser holds the key alone."""

    def __init__(self, key, values):
        super().__init__(values)
        self.key = key


class Store(SessionInterface):
    """Keeps sessions in memory."""

    def __init__(self):
        self.sessions = {}

    def open_session(self, app, request):
        key = request.cookies.get("key") or secrets.token_hex(8)
        return StoredSession(key, self.sessions.get(key, {}))

    def save_session(self, app, session, response):
        self.sessions[session.key] = dict(session)
        response.set_cookie("key", session.key)


app.session_interface = Store()
socketio = SocketIO(app, manage_session=False)


@socketio.on("set")
def set_value(name, value):
    session[name] = value


@socketio.on("get")
def get_value(name):
    return session.get(name)


@app.route("/login/<user>")
def login(user):
    session["user"] = user
    return {}


@app.route("/whoami")
def whoami():
    return dict(session)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
