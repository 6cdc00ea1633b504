"""An application whose server runs in a thread of its own."""

from __future__ import annotations

import json
import os
import threading

from flask import Flask

from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("echo")
def echo(*arguments):
    return arguments


if __name__ == "__main__":
    options = {"port": int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}"))}
    server = threading.Thread(target=socketio.run, args=(app,), kwargs=options)
    server.start()
    input()
    socketio.stop()
    server.join(10)
    print("the thread has ended" if not server.is_alive() else "the thread runs on")
