"""An application that is stopped in every way; it prints what it comes to."""

from __future__ import annotations

import json
import os
import threading
import time

from flask import Flask

from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("echo")
def echo(*arguments):
    return arguments


@socketio.on("slow")
def slow():
    emit("started")
    time.sleep(0.7)
    print("the handler has finished")
    return "finished"


@socketio.on("stop")
def stop():
    socketio.stop()


@socketio.on("disconnect")
def disconnect(reason):
    print(f"disconnected: {reason}")


@app.route("/")
def index():
    return "index"


@app.post("/stop")
def stop_from_thread():
    threading.Thread(target=socketio.stop).start()
    return "stopping"


@app.post("/stop-here")
def stop_from_view():
    socketio.stop()
    return "stopping"


options = json.loads(os.environ.get("RUN_OPTIONS", "{}"))
if "ssl_context" in options:
    options["ssl_context"] = tuple(options["ssl_context"])

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **options)
    print("after run")
