"""The rules that hold for packets in every encoding."""

from __future__ import annotations

from typing import Any

import pytest

from carboy.exceptions import LimitError, PacketError
from carboy.socketio.packets import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    RESERVED_EVENTS,
    check_packet,
    clean_namespace,
    quote,
)


@pytest.mark.parametrize(
    ("type", "data"),
    [
        (CONNECT, None),
        (CONNECT, {}),
        (CONNECT, {"token": "x"}),
        (DISCONNECT, None),
        (EVENT, ["message"]),
        (EVENT, ["error", {"a": 1}]),
        (EVENT, [""]),
        (EVENT, ["*"]),
        (EVENT, [1, 2]),
        (EVENT, [-1]),
        (ACK, []),
        (ACK, [None]),
        (CONNECT_ERROR, {"message": "no"}),
        (CONNECT_ERROR, "no"),
    ],
)
def test_data_that_fit_their_type_pass_unchanged(type: int, data: Any) -> None:
    """The very object comes back."""
    assert check_packet(type, data) is data


def test_an_ack_without_payload_has_no_arguments() -> None:
    """Node accepts it, with an empty list of arguments."""
    assert check_packet(ACK, None) == []


@pytest.mark.parametrize(
    ("type", "data"),
    [
        (CONNECT, []),
        (CONNECT, "x"),
        (CONNECT, 1),
        (DISCONNECT, {}),
        (DISCONNECT, []),
        (EVENT, None),
        (EVENT, []),
        (EVENT, {}),
        (EVENT, "message"),
        (EVENT, [None]),
        (EVENT, [True]),
        (EVENT, [1.5]),
        (EVENT, [{"a": 1}]),
        (EVENT, [["message"]]),
        (ACK, {}),
        (ACK, "x"),
        (CONNECT_ERROR, None),
        (CONNECT_ERROR, []),
        (CONNECT_ERROR, 1),
    ],
)
def test_data_that_do_not_fit_their_type_are_refused(type: int, data: Any) -> None:
    """Among them the object as an event name of CVE-2023-32695."""
    with pytest.raises(PacketError):
        check_packet(type, data)


@pytest.mark.parametrize(
    "name", ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)
def test_a_peer_cannot_send_an_event_of_the_lifecycle(name: str) -> None:
    """The names that Node reserves are refused, and they are all that is reserved."""
    with pytest.raises(PacketError, match="reserved"):
        check_packet(EVENT, [name])
    assert len(RESERVED_EVENTS) == 6


@pytest.mark.parametrize(
    ("given", "expected"),
    [("/", "/"), ("/chat", "/chat"), ("/chat?token=x", "/chat"), ("/?a?b", "/"), ("/chät", "/chät")],
)
def test_a_namespace_loses_its_query(given: str, expected: str) -> None:
    """What older clients append to the name is dropped."""
    assert clean_namespace(given, 5) == expected


@pytest.mark.parametrize("name", ["", "*", "chat", "?x", " /cha"])
def test_a_namespace_begins_with_a_slash(name: str) -> None:
    """So that no peer can name the catch-all namespace."""
    with pytest.raises(PacketError):
        clean_namespace(name, 5)


def test_a_namespace_past_the_limit_names_the_option() -> None:
    """The length counts characters."""
    assert clean_namespace("/ääää", 5) == "/ääää"
    with pytest.raises(LimitError) as raised:
        clean_namespace("/äääää", 5)
    assert raised.value.option == "max_namespace_length"


@pytest.mark.parametrize("text", ["a" * 1000, b"a" * 1000, "\n" * 1000, b"\xff" * 1000])
def test_an_error_quotes_at_most_fifty_characters(text: str | bytes) -> None:
    """Escapes count as the characters that they are written with."""
    assert len(quote(text)) <= 50
    assert "\n" not in quote(text)
