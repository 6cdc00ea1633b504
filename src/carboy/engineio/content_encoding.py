"""The compression of answers to polls.

Must not decide whether to compress: the option, its threshold and the headers are the transport's.
"""

from __future__ import annotations

import zlib
from typing import Literal

Encoding = Literal["gzip", "deflate"]

_ENCODINGS: tuple[Encoding, ...] = ("gzip", "deflate")

# Window bits of zlib: 15, and 16 more for a gzip head, which zlib writes with the time 0, so that equal
# bodies stay equal.
_WINDOW_BITS: dict[Encoding, int] = {"gzip": 31, "deflate": 15}


def choose_encoding(accept_encoding: str | None) -> Encoding | None:
    """Chooses the first encoding of the client's list that we know.

    Weights only exclude; `*` stands for gzip (RFC 9110 section 12.5.3).

    Args:
        accept_encoding: the header Accept-Encoding, or None.

    Returns:
        The encoding, or None to send the body as it is.
    """
    if not accept_encoding:
        return None
    items = [_parse_item(item) for item in accept_encoding.lower().split(",")]
    refused = {name for name, accepted in items if not accepted}
    for name, _ in items:
        for encoding in _ENCODINGS:
            if name in (encoding, "*") and name not in refused and encoding not in refused:
                return encoding
    return None


def compress(body: bytes, encoding: Encoding) -> bytes:
    """Compresses a body; the same bytes always give the same bytes."""
    compressor = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
    return compressor.compress(body) + compressor.flush()


def _parse_item(item: str) -> tuple[str, bool]:
    """Reads one item of the list: the name, and whether it is accepted, which only a weight of 0 prevents."""
    name, _, parameter = item.partition(";")
    key, _, weight = parameter.partition("=")
    return name.strip(), key.strip() != "q" or bool(weight.strip().strip("0."))
