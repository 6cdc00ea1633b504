"""Channels have names that brokers take, and no two channels have one name."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carboy.adapters.channel_names import legal_name, split_node

NODE = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("channel", "name", "node"),
    [
        ("flask-socketio", "flask-socketio", None),
        (f"flask-socketio.{NODE}", "flask-socketio.nodes", NODE),
        (f"a.b.{NODE}", "a.b.nodes", NODE),
        (f"flask-socketio.{NODE[1:]}", f"flask-socketio.{NODE[1:]}", None),
        (NODE, NODE, None),
    ],
)
def test_nodes_of_a_cluster_share_one_name(channel, name, node):
    """Where a broker keeps names, the channel of a node is an address under the name that all nodes share."""
    assert split_node(channel) == (name, node)


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("flask-socketio", "flask-socketio"),
        ("My_App.v2", "My_App.v2"),
        ("chat/one", "chat_x2f_one"),
        ("a..b", "a._x2e_b"),
        (".", "_x2e_"),
        ("_x2f_", "_x5f_x2f_"),
    ],
)
def test_names_are_legal_and_stay_as_they_are_where_they_can(channel, name):
    """Letters, digits, dots, `_` and `-` are kept; what is left is written as its hexadecimal digits."""
    assert legal_name(channel) == name


def test_more_may_be_legal():
    """A broker that allows more keeps more."""
    assert legal_name("a:b/c", b":") == "a:b_x2f_c"


@given(st.text(min_size=1) | st.text("_x2f./", min_size=1))
@example("_x2f/")
@example("/x2f_")
def test_names_can_be_read_back(channel):
    """The channel is found in its name again, so two channels never share one."""
    name = legal_name(channel)
    assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name)
    assert (
        re.sub(rb"_x([0-9a-f]{2})_", lambda found: bytes.fromhex(found[1].decode()), name.encode())
        == channel.encode()
    )
