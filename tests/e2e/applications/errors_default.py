"""The error handler for all namespaces."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import Namespace, SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


class OnPurpose(Exception):
    """Raised by the handlers here, on purpose."""


@socketio.on_error_default
def default_error(error):
    return ["default", request.namespace, request.event["message"], str(error)]


@socketio.on_error("/own")
def own_error(error):
    return ["own", str(error)]


@socketio.on("fail")
@socketio.on("fail", namespace="/own")
def fail():
    raise OnPurpose("on purpose")


@socketio.on("ask")
def ask():
    def answered(answer):
        raise OnPurpose("on purpose")

    emit("question", callback=answered)


class Failing(Namespace):
    def on_fail(self):
        raise OnPurpose("on purpose")

    def error(self, error):
        return ["class", str(error)]


socketio.on_namespace(Failing("/class"))


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
