"""The application that every front end serves: one event or view for each thing that may go wrong."""

from __future__ import annotations

import json
import os
import threading

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_socketio import SocketIO, emit, join_room, leave_room

app = Flask(__name__)
socketio = SocketIO(app, **json.loads(os.environ.get("OPTIONS", "{}")))
asgi_app = socketio.asgi_app
if os.environ.get("BEHIND_PROXY"):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)


@socketio.on("echo")
def echo(*arguments):
    return arguments


@socketio.on("echo back")
def echo_back(*arguments):
    emit("echo back", arguments)


@socketio.on("broadcast")
def broadcast(value):
    emit("news", value, broadcast=True)


@socketio.on("join")
def join(room):
    join_room(room)
    return True


@socketio.on("leave")
def leave(room):
    leave_room(room)
    return True


@socketio.on("tell")
def tell(room, value):
    emit("news", value, to=room)


@socketio.on("ask")
def ask(value):
    return socketio.call("question", value, to=request.sid, timeout=5)


@socketio.on("request")
def show_request():
    return [request.path, request.scheme, request.headers["Host"], request.args["color"]]


@socketio.on("disconnect")
def disconnect(reason):
    print(f"disconnected: {reason}", flush=True)


@app.get("/")
def index():
    return ["index", request.environ["flask.app"] is app]


@app.post("/upload")
def upload():
    return [len(request.get_data())]


@app.post("/emit")
def emit_from_view():
    socketio.emit("news", request.json["data"], to=request.json["to"])
    return ["sent"]


@app.get("/threads")
def threads():
    return [threading.active_count(), os.getpid()]
