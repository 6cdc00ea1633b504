"""An application that is run where an event loop runs already, as in a notebook."""

from __future__ import annotations

import asyncio
import json
import os

from flask import Flask

from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("echo")
def echo(*arguments):
    return arguments


@app.post("/stop")
def stop():
    socketio.stop()
    return "stopping"


async def main():
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
    print("after run")


if __name__ == "__main__":
    asyncio.run(main())
