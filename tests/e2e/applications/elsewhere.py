"""Emits from an HTTP view, a background task and a thread."""

from __future__ import annotations

import json
import os
from threading import Thread

from flask import Flask, request

from flask_socketio import SocketIO, disconnect, emit, join_room, leave_room

app = Flask(__name__)
socketio = SocketIO(app)


answers: list = []


@socketio.on("join")
def join(room):
    join_room(room)


@socketio.on("background")
def background(text):
    def work(*arguments, **options):
        socketio.sleep(0.01)
        socketio.emit("news", [*arguments, options], to=sid)

    sid = request.sid
    task = socketio.start_background_task(work, text, option=1)
    return hasattr(task, "join")


@socketio.on("joined background")
def joined_background():
    found = []
    task = socketio.start_background_task(found.append, "done")
    task.join()
    return found


@socketio.on("thread")
def thread(text):
    Thread(target=socketio.emit, args=("news", text), kwargs={"to": request.sid}).start()


@socketio.on("connect", namespace="/other")
def other():
    pass


@app.post("/emit")
def emit_from_view():
    socketio.emit("news", request.json["data"], **request.json["options"])
    return {}


@app.post("/send")
def send_from_view():
    socketio.send(request.json["data"], **request.json["options"])
    return {}


@app.post("/context-emit")
def context_emit_from_view():
    emit("news", request.json["data"], namespace="/", **request.json["options"])
    return {}


@app.post("/ask")
def ask_from_view():
    socketio.emit("question", to=request.json["sid"], callback=lambda *found: answers.append(list(found)))
    return {}


@app.get("/answers")
def show_answers():
    return answers


@app.post("/call")
def call_from_view():
    return [socketio.call("question", 1, to=request.json["sid"], timeout=5)]


@app.post("/join")
def join_from_view():
    join_room(request.json["room"], sid=request.json["sid"], namespace="/")
    return {}


@app.post("/leave")
def leave_from_view():
    leave_room(request.json["room"], sid=request.json["sid"], namespace="/")
    return {}


@app.post("/disconnect")
def disconnect_from_view():
    disconnect(sid=request.json["sid"], namespace="/")
    return {}


@app.post("/threads")
def emit_from_threads():
    def work(number):
        for index in range(20):
            socketio.emit("count", (number, index), to=sid)

    sid = request.json["sid"]
    threads = [Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {}


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
