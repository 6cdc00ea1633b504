"""`flask socketio ping-bus` without a broker; over a real one it is in tests/e2e/test_clusters.py."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_socketio import SocketIO

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda app: app.cli, "call SocketIO(app)"),
        (SocketIO, "names no message queue"),
        (lambda app: SocketIO(app, message_queue=NOWHERE), "check that it runs at this host and port"),
    ],
    ids=["no SocketIO", "no queue", "no broker"],
)
def test_command_tells_what_is_missing(make, hint):
    """In one line, with what to write or to look at."""
    app = Flask("application")
    SocketIO(app)  # which adds the command
    app.extensions.pop("socketio")
    make(app)
    result = app.test_cli_runner().invoke(args=["socketio", "ping-bus"])
    assert result.exit_code == 1
    assert hint in result.output
    assert "Traceback" not in result.output
