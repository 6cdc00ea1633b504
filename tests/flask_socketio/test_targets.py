"""What the data and the recipients of `emit` mean."""

from __future__ import annotations

import pytest

from flask_socketio.targets import answer_value, event_arguments, rooms_of, skipped_sids


@pytest.mark.parametrize(
    ("args", "arguments"),
    [
        ((), []),
        ((None,), []),
        (((),), []),
        (((None,),), [None]),
        (((1, "b"),), [1, "b"]),
        (([1, 2],), [[1, 2]]),
        (({"a": 1},), [{"a": 1}]),
        (("",), [""]),
        ((0,), [0]),
        ((False,), [False]),
        ((b"x",), [b"x"]),
    ],
)
def test_data_become_arguments_as_in_flask_socketio(args, arguments):
    """A tuple is several arguments, None is none, everything else is one."""
    assert event_arguments(args) == arguments


def test_second_data_argument_is_a_type_error():
    """Upstream takes it for `to` and says so."""
    with pytest.raises(TypeError, match=r"emit\(\) takes.*multiple values for 'to'.*tuple: emit\(event, \("):
        event_arguments((1, 2))
    with pytest.raises(TypeError, match=r"call\(\) takes.*multiple values for 'to'.*tuple: call\(event, \("):
        event_arguments((1, 2), "call")


@pytest.mark.parametrize(
    ("to", "rooms"),
    [
        (None, None),
        ("room", ["room"]),
        (b"room", [b"room"]),
        (7, [7]),
        (0, [0]),
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        ({"a"}, ["a"]),
        (frozenset({"a"}), ["a"]),
        ({"a": 1}.keys(), ["a"]),
        (iter(["a", "b"]), ["a", "b"]),
        ("", []),
        (b"", []),
        ([], []),
        ((), []),
        (set(), []),
    ],
)
def test_to_names_rooms(to, rooms):
    """Text and bytes are one room, a collection is a union, and only None is everybody."""
    assert rooms_of(to) == rooms


@pytest.mark.parametrize(
    ("skip_sid", "sids"),
    [(None, set()), ("", set()), ("a", {"a"}), (["a", "b"], {"a", "b"}), (("a",), {"a"}), ({"a"}, {"a"})],
)
def test_skip_sid_takes_one_sid_or_any_collection(skip_sid, sids):
    """Tuples and sets skip as lists do."""
    assert set(skipped_sids(skip_sid)) == sids


@pytest.mark.parametrize(("arguments", "value"), [([], None), ([1], 1), ([[1]], [1]), ([1, 2], (1, 2))])
def test_call_returns_the_arguments_of_the_acknowledgement(arguments, value):
    """No argument is None, one is itself, several are a tuple."""
    assert answer_value(arguments) == value
