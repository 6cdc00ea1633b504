"""An application in debug mode, which reads a module that changes."""

from __future__ import annotations

import json
import os

import greeting
from flask import Flask

from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("echo")
def echo(*arguments):
    return arguments


@app.route("/")
def index():
    return greeting.TEXT


@app.route("/fail")
def fail():
    raise RuntimeError("on purpose")


if __name__ == "__main__":
    socketio.run(
        app, port=int(os.environ["PORT"]), debug=True, **json.loads(os.environ.get("RUN_OPTIONS", "{}"))
    )
