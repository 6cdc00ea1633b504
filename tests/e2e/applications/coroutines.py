"""Coroutine handlers."""

from __future__ import annotations

import asyncio
import json
import os

from flask import Flask, g, request, session

from flask_socketio import (
    ConnectionRefusedError,
    Namespace,
    SocketIO,
    call,
    emit,
    join_room,
    leave_room,
    rooms,
)

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret"
socketio = SocketIO(app)


released: dict[str, asyncio.Event] = {}
left: list[str] = []


@socketio.on("connect")
async def connect(auth):
    await asyncio.sleep(0)
    emit("welcome", auth)


@socketio.on("connect", namespace="/refused")
async def refused():
    await asyncio.sleep(0)
    raise ConnectionRefusedError("no entry", 1)


@socketio.on("connect", namespace="/false")
async def false():
    return False


@socketio.on("disconnect")
async def disconnect(reason):
    await asyncio.sleep(0)
    left.append(reason)


@socketio.on("echo")
async def echo(*arguments):
    await asyncio.sleep(0)
    return arguments


@socketio.on("plain")
def plain():
    return "plain"


@socketio.on("emit")
async def emits():
    emit("before", request.event["message"])
    await asyncio.sleep(0.01)
    emit("after", [request.sid, request.namespace])
    socketio.emit("from the server", to=request.sid)
    return "done"


@socketio.on("rooms")
async def show_rooms(room):
    join_room(room)
    await asyncio.sleep(0)
    emit("told", room, to=room)
    found = sorted(rooms())
    leave_room(room)
    return found


@socketio.on("session set")
async def session_set(value):
    await asyncio.sleep(0)
    session["value"] = value


@socketio.on("session get")
async def session_get():
    await asyncio.sleep(0)
    return session.get("value")


@socketio.on("globals")
async def use_globals(value):
    g.value = value
    await asyncio.sleep(0.01)
    return [g.value, request.args.get("color")]


@socketio.on("wait")
async def wait(name):
    released[name] = asyncio.Event()
    emit("waiting")
    await asyncio.wait_for(released[name].wait(), 5)
    return "released"


@socketio.on("release")
async def release(name):
    released[name].set()


@socketio.on("fail")
async def fail():
    await asyncio.sleep(0)
    raise RuntimeError("on purpose")


@socketio.on("fail", namespace="/handled")
async def fail_handled():
    raise RuntimeError("on purpose")


@socketio.on_error("/handled")
def handled(error):
    return ["handled", str(error)]


@socketio.on("block")
async def block():
    try:
        call("question")
    except RuntimeError as error:
        return str(error)


class Chat(Namespace):
    async def on_connect(self):
        emit("hello")

    async def on_double(self, value):
        await asyncio.sleep(0)
        return value * 2


socketio.on_namespace(Chat("/class"))


@app.get("/left")
def show_left():
    return left


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
