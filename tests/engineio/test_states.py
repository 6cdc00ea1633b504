"""Every pair of state and input is either in the table with this outcome, or must not happen."""

from __future__ import annotations

import itertools

import pytest

from carboy.engineio.states import CLOSE_REASONS, TRANSITIONS, Effect, SessionInput, SessionState

# One line for each input, one column for each state. "-" must not happen, "." leaves all as it is.
CARRIED_BY_POLLING = """
                    POLLING                 PROBING                   UPGRADING
CANDIDATE_ATTACHED  PROBING/START_UPGRADE   PROBING/REFUSE_CANDIDATE  UPGRADING/REFUSE_CANDIDATE
PROBE               -                       UPGRADING/ANSWER_PROBE    UPGRADING/ANSWER_PROBE
UPGRADE             -                       WEBSOCKET/SWITCH          WEBSOCKET/SWITCH
CANDIDATE_FAILED    .                       POLLING/DROP_CANDIDATE    POLLING/DROP_CANDIDATE
PEER_CLOSED         CLOSED/RELEASE          CLOSED/RELEASE            CLOSED/RELEASE
TRANSPORT_LOST      CLOSED/CLOSE            CLOSED/CLOSE              CLOSED/CLOSE
PING_TIMED_OUT      CLOSED/CLOSE            CLOSED/CLOSE              CLOSED/CLOSE
VIOLATION           CLOSED/CLOSE            CLOSED/CLOSE              CLOSED/CLOSE
SERVER_CLOSED       CLOSING/ANNOUNCE_CLOSE  CLOSING/ANNOUNCE_CLOSE    CLOSING/ANNOUNCE_CLOSE
CLOSE_HEARD         -                       -                         -
CLOSE_TIMED_OUT     -                       -                         -
"""
CARRIED_BY_WEBSOCKET_OR_NOTHING = """
                    WEBSOCKET                   CLOSING                   CLOSED
CANDIDATE_ATTACHED  WEBSOCKET/REFUSE_CANDIDATE  CLOSING/REFUSE_CANDIDATE  CLOSED/REFUSE_CANDIDATE
PROBE               -                           CLOSING/ANSWER_PROBE      .
UPGRADE             -                           CLOSED/SWITCH_AND_CLOSE   .
CANDIDATE_FAILED    .                           CLOSING/DROP_CANDIDATE    .
PEER_CLOSED         CLOSED/CLOSE                CLOSED/RELEASE            .
TRANSPORT_LOST      CLOSED/FORGET               CLOSED/CLOSE              .
PING_TIMED_OUT      CLOSED/CLOSE                CLOSED/CLOSE              .
VIOLATION           CLOSED/CLOSE                CLOSED/CLOSE              .
SERVER_CLOSED       CLOSED/CLOSE                .                         .
CLOSE_HEARD         -                           CLOSED/FORGET             .
CLOSE_TIMED_OUT     -                           CLOSED/FORGET             .
"""


def read(text: str) -> dict[tuple[SessionState, SessionInput], tuple[SessionState, Effect] | None]:
    """Reads one of the tables above."""
    head, *lines = (line.split() for line in text.strip().splitlines())
    table: dict[tuple[SessionState, SessionInput], tuple[SessionState, Effect] | None] = {}
    for name, *cells in lines:
        for column, cell in zip(head, cells, strict=True):
            state, effect = cell.split("/") if "/" in cell else (column, "NOTHING")
            outcome = None if cell == "-" else (SessionState[state], Effect[effect])
            table[SessionState[column], SessionInput[name]] = outcome
    return table


EXPECTED = read(CARRIED_BY_POLLING) | read(CARRIED_BY_WEBSOCKET_OR_NOTHING)
PAIRS = list(itertools.product(SessionState, SessionInput))


@pytest.mark.parametrize(("state", "change"), PAIRS)
def test_pair_has_this_outcome(state: SessionState, change: SessionInput) -> None:
    """The table says what is written here, for every pair."""
    assert TRANSITIONS[state].get(change) == EXPECTED[state, change]


def test_end_is_reached_from_everywhere_and_never_left() -> None:
    """Every state leads to CLOSED by what the peer and the network can do, and that to nothing else."""
    for change in (
        SessionInput.PEER_CLOSED,
        SessionInput.TRANSPORT_LOST,
        SessionInput.PING_TIMED_OUT,
        SessionInput.VIOLATION,
    ):
        assert {TRANSITIONS[state][change][0] for state in SessionState} == {SessionState.CLOSED}
    assert {outcome[0] for outcome in TRANSITIONS[SessionState.CLOSED].values()} == {SessionState.CLOSED}


def test_each_decision_to_end_has_its_reason() -> None:
    """An input has a reason exactly if it decides the end of an open session, in Flask-SocketIO's words."""
    ended = {SessionState.CLOSING, SessionState.CLOSED}
    deciding = {
        change
        for state in set(SessionState) - ended
        for change, (following, _) in TRANSITIONS[state].items()
        if following in ended
    }
    assert set(CLOSE_REASONS) == deciding
    assert sorted(CLOSE_REASONS.values()) == [
        "client disconnect",
        "ping timeout",
        "server disconnect",
        "transport close",
        "transport error",
    ]


def test_every_effect_of_the_table_is_used() -> None:
    """No effect is listed that nothing causes, but for the ping, which the clock causes."""
    caused = {effect for row in TRANSITIONS.values() for _, effect in row.values()}
    assert caused == set(Effect) - {Effect.SEND_PING}
