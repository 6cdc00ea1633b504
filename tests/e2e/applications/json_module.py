"""A JSON module of the application's own."""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal

from flask import Flask

from flask_socketio import SocketIO, emit

app = Flask(__name__)


class OwnJSON:
    """Reads fractions as Decimal, and writes dates and decimals as text."""

    @staticmethod
    def dumps(value, **options):
        return json.dumps(value, default=str, **options)

    @staticmethod
    def loads(text, **options):
        return json.loads(text, parse_float=Decimal, **options)


socketio = SocketIO(app, json=OwnJSON)


@socketio.on("echo")
def echo(*arguments):
    emit("echo", arguments)
    return arguments


@socketio.on("types")
def types(*arguments):
    return [type(value).__name__ for value in arguments]


@socketio.on("make")
def make():
    emit("made", {"day": date(2024, 2, 29), "price": Decimal("1.10"), "data": b"bytes"})
    return date(2024, 1, 1)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
