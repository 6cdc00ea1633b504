"""What the replies to Engine.IO requests have in common: their headers, and how a payload becomes a body."""

from __future__ import annotations

import asyncio
from typing import Any

from carboy.config import Config
from carboy.engineio.content_encoding import choose_encoding, compress
from carboy.engineio.payloads import encode_jsonp
from carboy.transports.rewriting import Reply

PLAIN_TEXT = ("Content-Type", "text/plain; charset=UTF-8")
SCRIPT = ("Content-Type", "text/javascript; charset=UTF-8")
JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html")
NO_STORE = ("Cache-Control", "no-store")

COMPRESS_IN_THREAD = 64 * 1024
"""Bytes from which a body is compressed in a thread: it takes milliseconds, which others need not wait."""


async def payload_reply(config: Config, environ: dict[str, Any], jsonp: int | None, payload: bytes) -> Reply:
    """Makes the reply that brings a payload, compressed where the options and the client have it so.

    Args:
        config: the options.
        environ: the WSGI environment of the request.
        jsonp: the index of the callback that a JSONP poll names; None for any other.
        payload: the payload.
    """
    if jsonp is not None:
        headers, body = [SCRIPT, NO_STORE], encode_jsonp(payload, jsonp)
    else:
        headers, body = [PLAIN_TEXT, NO_STORE], payload
    if config.http_compression and len(body) >= config.compression_threshold:
        headers.append(("Vary", "Accept-Encoding"))
        encoding = choose_encoding(environ.get("HTTP_ACCEPT_ENCODING"))
        if encoding is not None:
            headers.append(("Content-Encoding", encoding))
            if len(body) < COMPRESS_IN_THREAD:
                body = compress(body, encoding)
            else:
                body = await asyncio.get_running_loop().run_in_executor(None, compress, body, encoding)
    return Reply(200, headers, body)
