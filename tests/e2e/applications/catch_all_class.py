"""A class for every namespace."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import Namespace, SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, namespaces="*")


class Everywhere(Namespace):
    def on_connect(self):
        emit("hello", request.namespace)

    def on_who(self, *arguments):
        return [request.namespace, *arguments]


socketio.on_namespace(Everywhere("*"))


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
