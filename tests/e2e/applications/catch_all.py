"""Handlers for every namespace."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, namespaces="*")


@socketio.on("who", namespace="*")
def who(*arguments):
    return ["who", request.namespace, *arguments]


@socketio.on("*", namespace="*")
def rest(event, *arguments):
    return ["rest", request.namespace, event, *arguments]


@socketio.on("who", namespace="/own")
def own():
    return ["own"]


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
