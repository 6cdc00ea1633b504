"""What Flask's contexts hold in a handler."""

from __future__ import annotations

import json
import os

from flask import Flask, current_app, g, render_template_string, request, url_for

from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


torn_down: list[str] = []


@socketio.on("connect")
def connect():
    emit("request", describe())


@socketio.on("describe")
def describe_event():
    return describe()


def describe():
    return {
        "args": request.args.to_dict(),
        "path": request.path,
        "method": request.method,
        "header": request.headers.get("X-Color"),
        "cookie": request.cookies.get("flavor"),
        "address": request.remote_addr,
        "host": request.host,
        "sid": request.sid,
        "namespace": request.namespace,
        "endpoint": request.endpoint,
    }


@socketio.on("application")
def application():
    return [current_app.name == app.name, current_app.extensions["socketio"] is socketio]


@socketio.on("url")
def make_url():
    return url_for("index", page=2)


@socketio.on("render")
def render(name):
    return render_template_string("Hello, {{ name }}!", name=name)


@socketio.on("globals")
def use_globals():
    found = g.get("value")
    g.value = 1
    return found


@socketio.on("environ")
def show_environ():
    return [request.environ["QUERY_STRING"], socketio.server.get_environ(request.sid) is not None]


@app.teardown_request
def teardown(error):
    if getattr(request, "event", None):
        torn_down.append(request.event["message"])


@app.route("/")
def index():
    return "index"


@app.route("/torn-down")
def show_torn_down():
    return torn_down


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
