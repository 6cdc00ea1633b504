"""An application with views beside its events; `OPTIONS` (JSON) holds the options of its server."""

from __future__ import annotations

import json
import os

from flask import Flask, Response, request

from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, **json.loads(os.environ.get("OPTIONS", "{}")))


@socketio.on("connect")
def connect():
    emit("early", "x" * int(request.args.get("length", 1)))


@app.route("/")
def index():
    return "index"


@app.route("/echo", methods=["POST", "PUT"])
def echo():
    return Response(
        request.get_data(), headers={"X-Method": request.method, "X-Color": request.args["color"]}
    )


@app.route("/stream")
def stream():
    return Response((f"line {number}\n" for number in range(3)), mimetype="text/plain")


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
