"""The ids of engine sessions.

Must not keep state: randomness that is kept for later would be handed out twice after a fork.
"""

from __future__ import annotations

import os
import re
from binascii import b2a_base64

_LENGTH = 20
_SID = re.compile(rf"[A-Za-z0-9_-]{{{_LENGTH}}}")
_STANDARD_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")


def generate_sid() -> str:
    """Makes an id: 20 characters of A-Z, a-z, 0-9, "_" and "-", from 120 bits of the system's randomness.

    20 is the length of Node's ids, by which adapters and sticky balancers know one. So many bits can neither
    be guessed nor come twice; a counter, as Node has, would add nothing.
    """
    return b2a_base64(os.urandom(_LENGTH * 6 // 8), newline=False).translate(_STANDARD_TO_URLSAFE).decode()


def is_sid(text: str) -> bool:
    """Tells whether a text could be an id, so that nothing else is ever looked up or logged."""
    return _SID.fullmatch(text) is not None
