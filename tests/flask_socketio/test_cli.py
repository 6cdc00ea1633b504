"""`flask socketio ping-bus` without a broker; over a real one it is in tests/e2e/test_clusters.py."""

from __future__ import annotations

import pytest
import redis as redis_client
from flask import Flask

import brokers
from flask_socketio import SocketIO
from flask_socketio.cli import listening_channels
from flask_socketio.message_queue import MessageQueue

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


def test_channels_are_asked_for_with_the_options_of_the_queue(start_broker):
    """As the driver connects; a broker that does not answer has none."""
    redis = start_broker(brokers.Redis)
    with redis_client.Redis(host=brokers.HOST, port=redis.port, password=brokers.PASSWORD) as client:
        subscription = client.pubsub()
        subscription.subscribe("elsewhere")
        subscription.get_message(timeout=10)
        url = f"redis://{brokers.HOST}:{redis.port}"
        options = {"password": brokers.PASSWORD, "timeout": 3}
        assert "elsewhere" in listening_channels(MessageQueue(url, options=options))
        assert listening_channels(MessageQueue(url)) == []
        for other in (f"valkey://{brokers.HOST}:{redis.port}", f"redis+unix://{redis.socket_file}"):
            assert "elsewhere" in listening_channels(MessageQueue(other, options=options))
    assert listening_channels(MessageQueue(NOWHERE)) == []
