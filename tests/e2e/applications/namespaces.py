"""Namespaces by decorator, by on_event and by class."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import Namespace, SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("who")
def who(*arguments):
    return ["main", request.namespace, *arguments]


@socketio.on("connect", namespace="/decorated")
def decorated_connect(auth):
    emit("hello", request.namespace)


@socketio.on("who", namespace="/decorated")
def decorated_who(*arguments):
    return ["decorated", request.namespace, *arguments]


@socketio.on("*", namespace="/decorated")
def decorated_rest(event, *arguments):
    return ["rest", event, *arguments]


def registered_who(*arguments):
    return ["registered", request.namespace, *arguments]


def registered_connect():
    emit("hello", request.namespace)


socketio.on_event("who", registered_who, namespace="/registered")
socketio.on_event("connect", registered_connect, namespace="/registered")

left: list[str] = []


class Chat(Namespace):
    def on_connect(self, auth):
        emit("hello", [request.namespace, auth])

    def on_disconnect(self, reason):
        left.append(reason)

    def on_who(self, *arguments):
        return ["class", request.namespace, request.sid, *arguments]

    def on_news(self, text):
        self.emit("news", text)
        self.send(text)

    def on_enter(self, room):
        self.enter_room(request.sid, room)
        return self.rooms(request.sid)

    def on_tell(self, room, text):
        self.emit("told", text, room=room, include_self=False)

    def on_close(self, room):
        self.close_room(room)


class Plain(Namespace):
    def on_connect(self):
        emit("hello", "plain")

    def on_disconnect(self):
        left.append("plain")


class Dispatching(Namespace):
    def trigger_event(self, event, *arguments):
        if event in ("connect", "disconnect"):
            return super().trigger_event(event, *arguments)
        return [event, *arguments]


socketio.on_namespace(Chat("/class"))
socketio.on_namespace(Plain("/plain-class"))
socketio.on_namespace(Dispatching("/dispatching"))


@app.route("/left")
def show_left():
    return left


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
