"""Disconnect handlers, whose reasons are told over HTTP."""

from __future__ import annotations

import json
import os
from collections import defaultdict

from flask import Flask, request, session

from flask_socketio import SocketIO, disconnect, emit, join_room, rooms

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret"
socketio = SocketIO(app, ping_interval=1, ping_timeout=4)


reasons: dict[str, list] = defaultdict(list)


@socketio.on("connect")
def connect_main():
    session["name"] = request.args["name"]
    join_room("everybody")


@socketio.on("disconnect")
def disconnect_main(reason):
    emit("left", session["name"], to="everybody")
    reasons[session["name"]].append([reason, sorted(set(rooms()) - {request.sid})])


@socketio.on("disconnect", namespace="/plain")
def disconnect_plain():
    reasons[request.args["name"]].append("/plain")


@socketio.on("connect", namespace="/plain")
def connect_plain():
    pass


@socketio.on("kick")
def kick():
    disconnect()
    return "kicked"


@socketio.on("kick", namespace="/plain")
def kick_plain():
    disconnect()


active: dict[str, str] = {}


@socketio.on("connect", namespace="/single")
def take_over():
    name = request.args["name"]
    if name in active:
        disconnect(active[name])
    active[name] = request.sid


@socketio.on("disconnect", namespace="/single")
def leave_single():
    members = dict(socketio.server.manager.get_participants("/single", None))
    reasons[request.args["name"]].append(["still a member", request.sid in members])
    active.pop(request.args["name"], None)


@socketio.on("am I active", namespace="/single")
def is_active():
    return active.get(request.args["name"]) == request.sid


@app.route("/reasons/<name>")
def show_reasons(name):
    return reasons[name]


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
