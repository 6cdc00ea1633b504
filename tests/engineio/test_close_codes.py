"""Close codes of websockets."""

from __future__ import annotations

import pytest

from carboy.engineio.close_codes import ABNORMAL_CLOSURE, NORMAL_CLOSURE, may_be_sent


@pytest.mark.parametrize(
    ("codes", "sendable"),
    [
        (range(NORMAL_CLOSURE), False),
        (range(1000, 1004), True),
        (range(1004, ABNORMAL_CLOSURE + 1), False),
        (range(1007, 1015), True),
        (range(1015, 3000), False),
        (range(3000, 5000), True),
        (range(5000, 65536), False),
    ],
)
def test_codes_that_may_stand_in_a_frame(codes: range, sendable: bool) -> None:
    """Those of the standard and its registry, and those of libraries and applications."""
    assert all(may_be_sent(code) is sendable for code in codes)
