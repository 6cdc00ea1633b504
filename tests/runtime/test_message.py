"""A message is framed at most once per kind of transport, whoever gets it."""

from __future__ import annotations

import pytest

from carboy.runtime.message import Message


@pytest.mark.parametrize(
    ("text", "binaries", "frames", "packets"),
    [
        (b'42["a"]', (), b'\x81\x0742["a"]', (b'42["a"]',)),
        (b"451-[]", (b"\x00\xff",), b"\x81\x06451-[]\x82\x02\x00\xff", (b"451-[]", b"bAP8=")),
        (None, (b"\x80",), b"\x82\x01\x80", (b"bgA==",)),
        (b"2", (), b"\x81\x012", (b"2",)),
    ],
)
def test_message_has_both_forms(
    text: bytes | None, binaries: tuple[bytes, ...], frames: bytes, packets: tuple[bytes, ...]
) -> None:
    """Websockets get frames without a gap between them, polls get packets with binary data in base64."""
    message = Message(text, binaries)
    assert message.frames() == frames
    assert message.packets() == packets


def test_each_form_is_made_once() -> None:
    """A broadcast sends the same bytes to every client."""
    message = Message(b"4x", (b"y",))
    assert message.frames() is message.frames()
    assert message.packets() is message.packets()


def test_size_counts_text_and_attachments() -> None:
    """The output bound is in bytes of all that belongs to the message."""
    assert Message(b"4x", (b"123", b"4567")).size == 9
    assert Message(None, (b"123",)).size == 3
    assert Message(b"2").size == 1


def test_message_is_kept_for_a_client_unless_it_says_otherwise() -> None:
    """Only a volatile message may be dropped."""
    assert not Message(b"4x").volatile
    assert Message(b"4x", (), True).volatile
