"""The ids of sessions, and the names of the workers that make them.

Must not keep state: randomness that is kept for later would be handed out twice after a fork.
"""

from __future__ import annotations

import os
import re
from binascii import b2a_base64

NAME_LENGTH = 4
"""Characters of a worker's name, with which the ids that it makes begin."""

_LENGTH = 20
_SID = re.compile(rf"[A-Za-z0-9_-]{{{_LENGTH}}}")
_STANDARD_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")


def generate_sid(name: str = "") -> str:
    """Makes an id: 20 characters of A-Z, a-z, 0-9, "_" and "-", from 120 bits of the system's randomness.

    20 is the length of Node's ids, by which adapters and sticky balancers know one. So many bits can neither
    be guessed nor come twice; a counter, as Node has, would add nothing. Behind a name there are 96 bits.

    Args:
        name: the name of this worker, with which the id begins; empty where it is the only one.
    """
    return name + _random_text(_LENGTH - len(name))


def generate_name() -> str:
    """Makes the name of a worker."""
    return _random_text(NAME_LENGTH)


def _random_text(length: int) -> str:
    return b2a_base64(os.urandom(length * 6 // 8), newline=False).translate(_STANDARD_TO_URLSAFE).decode()


def is_sid(text: str) -> bool:
    """Tells whether a text could be an id, so that nothing else is ever looked up or logged."""
    return _SID.fullmatch(text) is not None
