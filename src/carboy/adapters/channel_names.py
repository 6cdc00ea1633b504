"""What a channel is called at brokers that do not take any name, or that keep each name they have seen."""

from __future__ import annotations

import re

_OF_NODE = re.compile(r"(?P<base>.+)\.(?P<node>[0-9a-f]{32})")
_NOT_LEGAL = re.compile(rb"[^A-Za-z0-9._-]|_(?=x[0-9a-f]{2})|^\.|\.$|(?<=\.)\.")


def split_node(channel: str) -> tuple[str, str | None]:
    """Returns the name under which a broker carries a channel, and the node when it is that of one node.

    Each process has a channel of its own. A broker that keeps topics and exchanges would collect those of all
    processes that ever were, so there the nodes share one, and the node's name is an address in it.

    Args:
        channel: the channel of the cluster, or that and a dot and the 32 hexadecimal digits of a node.
    """
    found = _OF_NODE.fullmatch(channel)
    return (f"{found['base']}.nodes", found["node"]) if found else (channel, None)


def legal_name(channel: str, also: bytes = b"") -> str:
    """Returns a name of letters, digits, dots, `_` and `-`, without an empty part between dots.

    Names that are like this already stay as they are. In others each byte that is not allowed becomes `_x2f_`
    with its two hexadecimal digits, and so does a `_` that could be taken for the first of these: no two
    channels get one name.

    Args:
        channel: the channel.
        also: further characters that are allowed.
    """
    return _NOT_LEGAL.sub(
        lambda found: found[0] if found[0] in also else b"_x%02x_" % ord(found[0]), channel.encode()
    ).decode()
