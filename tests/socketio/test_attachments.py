"""Bytes leave the data for attachments and come back to their places."""

from __future__ import annotations

from typing import Any

import pytest

from carboy.exceptions import LimitError, PacketError
from carboy.socketio.attachments import Attachments, PartialPacket, replace_leaves
from carboy.socketio.packets import EVENT, DecoderLimits

LIMITS = DecoderLimits(
    max_attachments=10, max_attachment_bytes=10, max_id_digits=20, max_namespace_length=20, max_depth=20
)


def placeholder(number: Any) -> dict[str, Any]:
    """What stands where an attachment belongs."""
    return {"_placeholder": True, "num": number}


def partial(data: Any, count: int) -> PartialPacket:
    """An event whose attachments are to come."""
    return PartialPacket((EVENT, "/", None, data), count, limits=LIMITS)


def test_attachments_return_to_their_places_in_any_order_and_depth() -> None:
    """The number of a placeholder, not its place, tells its attachment."""
    packet = partial(["x", placeholder(1), {"a": [placeholder(0)], "b": placeholder(2)}], 3)
    assert packet.add(b"zero") is None
    assert packet.add(b"one") is None
    assert packet.add(b"two") == (EVENT, "/", None, ["x", b"one", {"a": [b"zero"], "b": b"two"}])


def test_an_attachment_may_be_used_twice_or_not_at_all() -> None:
    """Node allows both."""
    packet = partial(["x", placeholder(0), placeholder(0)], 2)
    packet.add(b"used")
    assert packet.add(b"unused") == (EVENT, "/", None, ["x", b"used", b"used"])


@pytest.mark.parametrize("number", [-1, 1, 10**30, True, False, 0.0, "0", "length", None, [0]])
def test_a_placeholder_that_names_no_attachment_is_refused_before_any_arrives(number: Any) -> None:
    """CVE-2022-2421: the number is checked, and nothing is buffered for such a packet."""
    with pytest.raises(PacketError):
        partial(["x", {"a": placeholder(number)}], 1)


def test_a_placeholder_without_a_number_is_refused() -> None:
    """The key alone makes a placeholder."""
    with pytest.raises(PacketError):
        partial(["x", {"_placeholder": True}], 1)


@pytest.mark.parametrize("mark", [False, 1, "true", None])
def test_an_object_that_only_resembles_a_placeholder_stays_data(mark: Any) -> None:
    """Nothing but `true` makes one."""
    data = ["x", {"_placeholder": mark, "num": 0}]
    assert partial(data, 1).add(b"") == (EVENT, "/", None, ["x", {"_placeholder": mark, "num": 0}])


def test_attachments_are_bounded_in_bytes_together() -> None:
    """The bound is allowed, one byte more is not, and the error names the option."""
    assert partial(["x"], 2).add(b"1234567890") is None
    packet = partial(["x"], 2)
    packet.add(b"12345")
    with pytest.raises(LimitError) as raised:
        packet.add(b"123456")
    assert raised.value.option == "max_attachment_bytes"


def test_a_complete_packet_takes_no_further_attachment() -> None:
    """Else a peer could fill memory behind it."""
    packet = partial(["x"], 1)
    packet.add(b"")
    with pytest.raises(PacketError):
        packet.add(b"")


def test_placeholders_are_found_at_any_depth_without_recursion() -> None:
    """The depth of the data is the peer's choice, the stack is ours."""
    data: list[Any] = [placeholder(0)]
    innermost = data
    for _ in range(100_000):
        data = [data]
    partial(data, 1).add(b"deep")
    assert innermost == [b"deep"]
    while data is not innermost:  # taken apart from the outside, which needs no stack either
        data = data[0]


def test_attachments_keep_a_copy_of_what_can_change() -> None:
    """A message may wait while the application writes into its buffer."""
    attachments = Attachments()
    buffer = bytearray(b"abc")
    assert attachments.detach(buffer) == placeholder(0)
    assert attachments.detach(memoryview(buffer)[::2]) == placeholder(1)
    buffer[0] = 0
    assert attachments == [b"abc", b"ac"]
    assert all(type(attachment) is bytes for attachment in attachments)


def test_the_hook_refuses_what_has_no_form() -> None:
    """The error names the type."""
    attachments = Attachments()
    assert attachments((1, 2)) == [1, 2]
    assert attachments(b"x") == placeholder(0)
    with pytest.raises(TypeError, match="type set is not JSON"):
        attachments(set())


def test_replacing_copies_only_what_changes() -> None:
    """Containers around a replaced value are new, all others are the same, and the input is untouched."""
    untouched = {"a": [1, (2, 3)]}
    data = (untouched, [b"x", 1], {"k": b"y", "l": untouched})
    attachments = Attachments()
    replaced = replace_leaves(data, attachments.detach)
    assert replaced == [untouched, [placeholder(0), 1], {"k": placeholder(1), "l": untouched}]
    assert replaced[0] is untouched
    assert replaced[2]["l"] is untouched
    assert data == (untouched, [b"x", 1], {"k": b"y", "l": untouched})
    assert replace_leaves(data[:1], attachments.detach) == data[:1]
    assert attachments == [b"x", b"y"]
