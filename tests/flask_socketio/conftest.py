"""What the tests of the Flask face share: an application and its SocketIO object."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flask import Flask

from flask_socketio import SocketIO

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def app():
    """An application with a session."""
    app = Flask("application")
    app.secret_key = "a secret"
    return app


@pytest.fixture
def socketio(app):
    """Its Socket.IO server."""
    return SocketIO(app)


@pytest.fixture
def client(app, socketio):
    """A test client that is connected."""
    return socketio.test_client(app)


@pytest.fixture
def server(socketio):
    """The server as python-socketio's users know it."""
    return socketio.server


@pytest.fixture
def sid(client, server):
    """The sid of a connected client."""
    return server.manager.sid_from_eio_sid(client.eio_sid, "/")
