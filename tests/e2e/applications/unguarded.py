"""An application that calls run() whenever it is imported."""

from __future__ import annotations

import json
import os

from flask import Flask

from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("echo")
def echo(*arguments):
    return arguments


socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
