"""The messages on the queue: python-socketio reads what is written; what any version of it writes is read."""

from __future__ import annotations

import json
import math
import pickle
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.adapters.messages import (
    LIMITS,
    arguments_of,
    decode_message,
    encode_message,
    read_arguments,
    read_rooms,
    read_skipped,
    read_text,
    write_rooms,
)
from carboy.exceptions import PacketError
from carboy.socketio.json_codec import JSONCodec

CODEC = JSONCodec(limits=LIMITS)
PLACEHOLDER = {"_placeholder": True, "num": 0}


def test_arguments_are_written_as_python_socketio_reads_them() -> None:
    """A list of them; with bytes the list and the attachments in base64, placeholders where they belong."""
    plain = json.loads(encode_message({"method": "emit", **arguments_of(CODEC, [1, "a"])}))
    assert plain == {"method": "emit", "data": [1, "a"], "binary": False}
    binary = json.loads(encode_message({"method": "emit", **arguments_of(CODEC, [{"a": b"x"}, 2])}))
    assert binary["data"] == [[{"a": PLACEHOLDER}, 2], b64encode(b"x").decode()]
    assert binary["binary"] is True


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4), st.sampled_from(["data", "args"]))
def test_arguments_come_back_as_they_were(arguments: list[Any], name: str) -> None:
    """Whatever they hold."""
    data = encode_message({"method": "emit", **arguments_of(CODEC, arguments, name)})
    assert read_arguments(decode_message(data), name) == arguments


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        pytest.param({"data": "a"}, ["a"], id="5.14.0 bare value"),
        pytest.param({"data": None}, [None], id="5.14.0 no value"),
        pytest.param({"data": {"a": 1}}, [{"a": 1}], id="5.14.0 bare dict"),
        pytest.param({"data": ["a", 1]}, ["a", 1], id="5.14.0 tuple"),
        pytest.param({"data": "a", "binary": False}, ["a"], id="5.14.2 bare value"),
        pytest.param({"data": [PLACEHOLDER, "eA=="], "binary": True}, [b"x"], id="5.14.2 bare bytes"),
        pytest.param(
            {"data": [{"a": PLACEHOLDER}, "eA=="], "binary": True}, [{"a": b"x"}], id="5.14.2 bytes in a dict"
        ),
        pytest.param(
            {"data": [[PLACEHOLDER, 1], "eA=="], "binary": True}, [b"x", 1], id="5.14.2 tuple with bytes"
        ),
        pytest.param({"data": [], "binary": False}, [], id="5.15.1 no argument"),
        pytest.param({"data": [None], "binary": False}, [None], id="5.15.1 None"),
        pytest.param({"data": [["a"]], "binary": False}, [["a"]], id="5.15.1 a list"),
        pytest.param({"data": ["a", 1], "binary": False}, ["a", 1], id="5.15.1 several"),
        pytest.param({"data": [[PLACEHOLDER], "eA=="], "binary": True}, [b"x"], id="5.15.1 bytes"),
        pytest.param(
            {"data": [[[PLACEHOLDER]], "eA=="], "binary": True}, [[b"x"]], id="5.15.1 bytes in a list"
        ),
        pytest.param({}, [None], id="nothing"),
    ],
)
def test_every_version_of_the_format_is_read(keys: dict[str, Any], arguments: list[Any]) -> None:
    """From 5.14.0, the first without pickles."""
    assert read_arguments({"method": "emit", **keys}) == arguments


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="nothing"),
        pytest.param([], id="no arguments"),
        pytest.param("text", id="text"),
        pytest.param([[PLACEHOLDER]], id="no attachment"),
        pytest.param([[PLACEHOLDER], 5], id="a number for an attachment"),
        pytest.param([[PLACEHOLDER], "x"], id="no base64"),
        pytest.param([[PLACEHOLDER], "é"], id="no ASCII"),
        pytest.param([[{"_placeholder": True, "num": 1}], "eA=="], id="another attachment"),
        pytest.param([[{"_placeholder": True, "num": "0"}], "eA=="], id="a text for a number"),
        pytest.param([[{"_placeholder": True}], "eA=="], id="no number"),
    ],
)
def test_attachments_that_are_missing_are_refused(data: Any) -> None:
    """By one kind of error."""
    message = {"method": "emit", "data": data, "binary": True}
    if data == [[PLACEHOLDER]]:
        assert read_arguments(message) == [PLACEHOLDER]  # nothing follows: it is a dict like another
    else:
        with pytest.raises(PacketError):
            read_arguments(message)


class Bomb:
    """An object whose unpickling the test would notice."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"method": "emit"}),
        pickle.dumps(Bomb()),
        b"",
        b"\xff",
        b"5",
        b"[]",
        b'"emit"',
        b"{}",
        b'{"method":5}',
        b'{"method":null}',
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """By one kind of error; pickles are never loaded."""
    with pytest.raises(PacketError):
        decode_message(data)


def test_what_other_encoders_write_is_read() -> None:
    """Python's writes NaN and half of a surrogate pair."""
    message = decode_message(b'{"method":"emit","data":[NaN,"\\ud800"]}')
    assert math.isnan(message["data"][0])
    assert message["data"][1] == "\ud800"


def test_message_that_is_no_json_is_the_caller_s_error() -> None:
    """It is named."""
    with pytest.raises(TypeError, match="emit"):
        encode_message({"method": "emit", "skip_sid": [object()]})


@pytest.mark.parametrize(
    ("rooms", "written", "read"),
    [
        (None, None, None),
        ([], [], []),
        (["a"], "a", ["a"]),
        ([5], 5, [5]),
        (["a", 5, 1.5, True], ["a", 5, 1.5, True], ["a", 5, 1.5, True]),
        ([None], [], []),
        ([None, "a"], "a", ["a"]),
    ],
)
def test_rooms_are_named_so_that_all_mean_the_same(rooms: Any, written: Any, read: Any) -> None:
    """Above all, a room never becomes everybody."""
    assert write_rooms(rooms) == written
    assert read_rooms(written) == read


@pytest.mark.parametrize("room", [("a",), b"a", object(), float("nan"), frozenset()])
def test_room_that_has_no_name_elsewhere_is_refused(room: Any) -> None:
    """It is the caller's error."""
    with pytest.raises(TypeError, match="cannot be named"):
        write_rooms([room])


@pytest.mark.parametrize("room", [{}, [[]], [{}]])
def test_room_that_is_none_is_refused(room: Any) -> None:
    """It is the sender's error."""
    with pytest.raises(PacketError):
        read_rooms(room)


@pytest.mark.parametrize(
    ("given", "skipped"), [(None, ()), ("", ()), ([], ()), ("a", ("a",)), (["a", 5], ("a", "5"))]
)
def test_skipped_sids_are_none_one_or_several(given: Any, skipped: tuple[str, ...]) -> None:
    """As text."""
    assert read_skipped(given) == skipped


def test_text_has_to_be_text() -> None:
    """With a default where nothing is said."""
    assert read_text({"method": "x", "namespace": None}, "namespace", "/") == "/"
    for value in (None, 5, []):
        with pytest.raises(PacketError, match="event"):
            read_text({"method": "x", "event": value}, "event")
