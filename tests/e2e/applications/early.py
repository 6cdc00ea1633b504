"""An application whose processes emit before any request of Socket.IO, or any at all, has reached them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from flask import Flask

from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
asgi_app = socketio.asgi_app


@app.get("/emit")
def emit_from_view():
    socketio.emit("news", os.getpid())
    return [os.getpid()]


def emit_when_asked():
    while not Path(os.environ["ASKED"]).exists():
        time.sleep(0.02)
    socketio.emit("news", os.getpid())


threading.Thread(target=emit_when_asked, daemon=True).start()
