"""Carboy: a Socket.IO server. It knows no web framework; `flask_socketio` is its face for Flask."""

from __future__ import annotations

from carboy.config import Config
from carboy.runtime.handlers import Handler
from carboy.runtime.server import Server

__all__ = ["Config", "Handler", "Server"]

__version__ = "0.1.0"
