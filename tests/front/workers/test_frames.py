"""Frames on a stream, however it is cut."""

from __future__ import annotations

import pytest

from carboy.front.workers.frames import HELLO, PUBLISH, REQUEST, FrameDecoder, frame_head

FRAMES = [(HELLO, b"abcd"), (PUBLISH, b""), (REQUEST, bytes(1000)), (PUBLISH, b"x")]
STREAM = b"".join(frame_head(kind, payload) + payload for kind, payload in FRAMES)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 7, 100, len(STREAM) - 1, len(STREAM)])
def test_frames_are_found_however_the_stream_is_cut(size: int) -> None:
    """Each comes once, whole, in its order."""
    decoder = FrameDecoder()
    found = []
    for begin in range(0, len(STREAM), size):
        found += decoder.feed(memoryview(STREAM)[begin : begin + size])
    assert found == FRAMES


def test_part_of_a_frame_waits_for_the_rest() -> None:
    """Nothing is handed out early."""
    decoder = FrameDecoder()
    assert decoder.feed(STREAM[:8]) == []
    assert decoder.feed(STREAM[8:9]) == [FRAMES[0]]
