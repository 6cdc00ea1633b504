"""How a payload becomes the body of a reply; `test_endpoint.py` has it within whole requests."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from carboy.config import Config
from carboy.transports.replies import COMPRESS_IN_THREAD, NO_STORE, PLAIN_TEXT, SCRIPT, payload_reply

GZIP = {"HTTP_ACCEPT_ENCODING": "gzip"}


def reply(payload: bytes, environ: dict[str, str], jsonp: int | None = None, **options: object):
    """Return the reply that brings a payload."""
    return asyncio.run(payload_reply(Config.from_options(options), environ, jsonp, payload))


def test_payload_is_text_that_nobody_stores() -> None:
    """As it is, where it is short."""
    made = reply(b"4short", GZIP)
    assert (made.status, made.headers, made.body) == (200, [PLAIN_TEXT, NO_STORE], b"4short")


def test_payload_for_a_script_is_one() -> None:
    """JSONP names the callback by its index."""
    made = reply(b'4"', {}, 3)
    assert made.headers == [SCRIPT, NO_STORE]
    assert made.body == b'___eio[3]("4\\"");'


@pytest.mark.parametrize("size", [2000, COMPRESS_IN_THREAD])
def test_long_payload_is_compressed_for_those_who_take_it(size: int) -> None:
    """Others get it as it is, and caches are told that it depends on the request."""
    payload = b"4" * size
    made = reply(payload, GZIP)
    assert ("Content-Encoding", "gzip") in made.headers
    assert gzip.decompress(made.body) == payload
    plain = reply(payload, {})
    assert ("Vary", "Accept-Encoding") in plain.headers
    assert plain.body == payload
    assert reply(payload, GZIP, http_compression=False).body == payload
