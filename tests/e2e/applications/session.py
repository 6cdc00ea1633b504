"""The session that the handlers of one connection share."""

from __future__ import annotations

import json
import os

from flask import Flask, session

from flask_socketio import SocketIO

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret"
socketio = SocketIO(app)


@socketio.on("connect")
@socketio.on("connect", namespace="/other")
def connect():
    session.setdefault("connects", 0)
    session["connects"] += 1


@socketio.on("set")
@socketio.on("set", namespace="/other")
def set_value(name, value):
    session[name] = value


@socketio.on("get")
@socketio.on("get", namespace="/other")
def get_value(name):
    return session.get(name)


@socketio.on("remove")
def remove_value(name):
    del session[name]
    return name in session


@app.route("/login/<user>")
def login(user):
    session["user"] = user
    return {}


@app.route("/whoami")
def whoami():
    return dict(session)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
