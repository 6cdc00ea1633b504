"""The close codes of websockets (RFC 6455 section 7.4.1)."""

from __future__ import annotations

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
ABNORMAL_CLOSURE = 1006
"""Stands in no frame: the connection went without one."""
INVALID_TEXT = 1007
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011


def may_be_sent(code: int) -> bool:
    """Tells whether a code may stand in a frame (RFC 6455 section 7.4 and its registry).

    Args:
        code: the code.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
