"""Answers are compressed in the way that the client put first."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.engineio.content_encoding import choose_encoding, compress


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("deflate, gzip", "deflate"),
        ("br;q=1.0, deflate;q=0.5, gzip;q=1.0", "deflate"),
        ("GZip", "gzip"),
        ("br", None),
        ("identity", None),
        ("xgzip, gzipx", None),
        ("gzip;q=0", None),
        ("gzip; q=0.000, deflate", "deflate"),
        ("gzip ; Q=0, deflate", "deflate"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=1", "gzip"),
        ("gzip;q", None),
        ("gzip;level=0", "gzip"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("*, gzip;q=0", "deflate"),
        ("gzip;q=0, deflate;q=0, *", None),
        (",,;,", None),
    ],
)
def test_encoding_is_the_clients_first_that_we_know(header: str | None, encoding: str | None) -> None:
    """The client's order decides, a weight of 0 excludes, and a star stands for what is not excluded."""
    assert choose_encoding(header) == encoding


@given(st.text(max_size=60))
def test_any_header_gives_an_answer(header: str) -> None:
    """Whatever the header says, it names one of our encodings or none."""
    assert choose_encoding(header) in ("gzip", "deflate", None)


@given(st.binary(max_size=500))
def test_compressed_body_is_read_by_everybody(body: bytes) -> None:
    """The encodings are gzip and zlib, as HTTP defines them."""
    assert gzip.decompress(compress(body, "gzip")) == body
    assert zlib.decompress(compress(body, "deflate")) == body


def test_gzip_head_has_no_time() -> None:
    """Equal bodies give equal bytes: the time in the head is 0."""
    assert compress(b"abc" * 400, "gzip")[4:8] == b"\0\0\0\0"
