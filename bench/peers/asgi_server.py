"""The same events on python-socketio, as an ASGI application with default options."""

from __future__ import annotations

from typing import Any

import socketio

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
app = socketio.ASGIApp(server)


@server.event
async def echo(_sid: str, value: Any) -> tuple[Any]:
    return (value,)


@server.event
async def bcast(_sid: str, value: Any) -> None:
    await server.emit("bcast", value)


@server.event
async def join(_sid: str, room: str) -> str:
    await server.enter_room(_sid, room)
    return "ok"


@server.event
async def room(_sid: str, name: str, value: Any) -> None:
    await server.emit("room", value, to=name)
