"""The server that the benchmarks measure: a Flask application with plain `def` handlers and default options.

    python bench/server.py PORT

The events are the contract that the load generators and the peers share.
"""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask

from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
socketio = SocketIO(app, cors_allowed_origins="*")


@app.get("/ping")
def ping() -> str:
    return "pong"


@socketio.on("echo")
def echo(value: Any) -> tuple[Any]:
    return (value,)  # a tuple, so that null comes back as null


@socketio.on("echo_emit")
def echo_emit(value: Any) -> None:
    emit("echo_emit", value)


@socketio.on("bcast")
def bcast(value: Any) -> None:
    emit("bcast", value, broadcast=True)


@socketio.on("join")
def join(room: str) -> str:
    join_room(room)
    return "ok"


@socketio.on("room")
def room(name: str, value: Any) -> None:
    emit("room", value, to=name)


@socketio.on("bin")
def binary(data: bytes) -> tuple[bytes]:
    return (data,)


if __name__ == "__main__":
    socketio.run(app, port=int(sys.argv[1]))
