"""A room chat: one Flask application, four events and a page of plain JavaScript.

Everything is kept in memory and nobody logs in: a name is a name tag, not a proof of who somebody is.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from functools import wraps
from itertools import count

from flask import Flask, render_template, request, send_from_directory

from flask_socketio import ConnectionRefusedError, SocketIO, emit, join_room, leave_room

NAME_LENGTH = 24
MESSAGE_LENGTH = 500
STARTING_ROOMS = ("lobby", "cellar", "workshop")

app = Flask(__name__)
socketio = SocketIO(app)


@dataclass
class Person:
    """Somebody with the page open; two windows are two of them."""

    name: str
    room: str | None = None


# Handlers run on threads. They emit while they hold the lock, so that everybody sees changes in one order.
lock = threading.RLock()
people: dict[str, Person] = {}
histories: dict[str, deque] = defaultdict(lambda: deque(maxlen=50))
message_ids = count(1)


@app.get("/")
def index():
    return render_template("index.html", message_length=MESSAGE_LENGTH)


@app.get("/socket.io.min.js")
def client_script():
    return send_from_directory("../../node_modules/socket.io-client/dist", "socket.io.min.js")


def with_person(handler):
    """Run an event handler under the lock and pass it the person who sent the event."""

    @wraps(handler)
    def locked(*args):
        with lock:
            person = people.get(request.sid)
            return handler(person, *args) if person else None

    return locked


@socketio.on("connect")
def connect(auth):
    name = auth.get("name") if isinstance(auth, dict) else None
    if problem := complaint("A name", name, NAME_LENGTH):
        raise ConnectionRefusedError(problem)
    with lock:
        people[request.sid] = Person(" ".join(name.split()))


@socketio.on("disconnect")
@with_person
def disconnect(person, _reason):
    del people[request.sid]
    leave(person)


@socketio.on("join")
@with_person
def join(person, room):
    if problem := complaint("A room name", room, NAME_LENGTH):
        return {"error": problem}
    history = histories[room]
    if person.room != room:
        leave(person)
        join_room(room)
        person.room = room
        tell_who_is_in(room)
    return {"history": list(history)}


@socketio.on("say")
@with_person
def say(person, room, text, key):
    if problem := complaint("A message", text, MESSAGE_LENGTH):
        return {"error": problem}
    if person.room != room:
        return {"error": f"You are not in #{room} any more."}
    # A page that lost our answer asks again with the same key: the message is still said only once.
    key = str(key)[:40]
    for message in histories[room]:
        if (message["key"], message["name"]) == (key, person.name):
            return message
    message = {"room": room, "name": person.name, "text": text.strip(), "key": key}
    message |= {"id": next(message_ids), "at": time.time()}
    histories[room].append(message)
    emit("message", message, to=room, include_self=False)
    return message


@socketio.on("typing")
@with_person
def typing(person, active):
    emit("typing", (person.room, person.name, bool(active)), to=person.room, include_self=False)


@socketio.on("latency")
def latency():
    return "here"


def complaint(what: str, text: object, limit: int) -> str | None:
    """Say in plain words what is wrong with a text, or return None if nothing is."""
    length = len(text) if isinstance(text, str) and text.strip() else 0
    return None if 0 < length <= limit else f"{what} has 1 to {limit} characters; this one has {length}."


def names_in(room: str) -> list[str]:
    return sorted({person.name for person in people.values() if person.room == room})


def leave(person: Person) -> None:
    room, person.room = person.room, None
    if room:
        leave_room(room)
        if room not in STARTING_ROOMS and not names_in(room):
            del histories[room]
        tell_who_is_in(room)


def tell_who_is_in(room: str) -> None:
    emit("people", (room, names_in(room)), to=room)
    emit("rooms", {name: len(names_in(name)) for name in (*STARTING_ROOMS, *histories)}, broadcast=True)


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "5000")))
