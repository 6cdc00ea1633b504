"""flask.json, with the provider of the application."""

from __future__ import annotations

import json
import os
from datetime import date
from threading import Thread

import flask
from flask import Flask
from flask.json.provider import DefaultJSONProvider

from flask_socketio import SocketIO, emit

app = Flask(__name__)


class OwnProvider(DefaultJSONProvider):
    """Writes dates the ISO way."""

    @staticmethod
    def default(value):
        return value.isoformat() if isinstance(value, date) else DefaultJSONProvider.default(value)


app.json = OwnProvider(app)
socketio = SocketIO(app, json=flask.json)


@socketio.on("echo")
def echo(*arguments):
    return arguments


@socketio.on("make")
def make():
    emit("made", {"day": date(2024, 2, 29), "data": b"bytes"})


@app.post("/emit")
def emit_from_view():
    socketio.emit("made", {"day": date(2024, 2, 29)})
    return {}


@socketio.on("thread")
def thread():
    Thread(target=socketio.emit, args=("made", {"day": date(2024, 2, 29)})).start()


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
