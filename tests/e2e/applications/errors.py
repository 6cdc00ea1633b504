"""Handlers that fail, with and without error handlers."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import ConnectionRefusedError, Namespace, SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


disconnects: list[str] = []


class OnPurpose(Exception):
    """Raised by the handlers here, on purpose."""


@socketio.on_error()
def main_error(error):
    return ["main", type(error).__name__, str(error), request.event["message"], list(request.event["args"])]


@socketio.on_error("/chat")
def chat_error(error):
    emit("failed", str(error))
    return "chat"


@socketio.on_error("/gate")
def gate_error(error):
    emit("never", str(error))


@socketio.on("fail")
@socketio.on("fail", namespace="/chat")
@socketio.on("fail", namespace="/unhandled")
def fail(*arguments):
    raise OnPurpose("on purpose")


@socketio.on("two")
@socketio.on("two", namespace="/chat")
@socketio.on("two", namespace="/strict")
def two(first, second):
    return [first, second]


@socketio.on("echo", namespace="/unhandled")
@socketio.on("echo", namespace="/strict")
def echo(value):
    return value


@socketio.on("connect", namespace="/gate")
def gate():
    raise OnPurpose("on purpose")


@socketio.on("connect", namespace="/refusing")
def refusing():
    raise ConnectionRefusedError("refused")


@socketio.on_error("/refusing")
def refusing_error(error):
    return True


@socketio.on("disconnect", namespace="/chat")
def chat_disconnect(reason):
    disconnects.append(reason)
    raise OnPurpose("on purpose")


class Failing(Namespace):
    def on_connect(self, auth):
        if auth == {"refuse": True}:
            raise ConnectionRefusedError("refused")

    def on_fail(self):
        raise OnPurpose("on purpose")

    def error(self, error):
        return ["class", request.namespace, request.event["message"], str(error)]


socketio.on_namespace(Failing("/class"))


@app.get("/disconnects")
def show_disconnects():
    return disconnects


@app.get("/fail")
def fail_in_view():
    raise OnPurpose("on purpose")


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
