"""The life of a client is a table, and what is absent from it cannot happen."""

from __future__ import annotations

from itertools import product

import pytest

from carboy.exceptions import LocalError
from carboy.socketio.states import CLIENT_TRANSITIONS, ClientInput, ClientState, transition

ACCEPT, REFUSE, LEAVE, FINISH = ClientInput

PERMITTED = {
    ClientState.CONNECTING: {ACCEPT: "CONNECTED", REFUSE: "GONE", LEAVE: "ABANDONED"},
    ClientState.ABANDONED: {ACCEPT: "LEAVING", REFUSE: "GONE", LEAVE: "ABANDONED"},
    ClientState.CONNECTED: {LEAVE: "LEAVING"},
    ClientState.LEAVING: {LEAVE: "LEAVING", FINISH: "GONE"},
    ClientState.GONE: {LEAVE: "GONE"},
}


@pytest.mark.parametrize(("state", "input"), list(product(ClientState, ClientInput)))
def test_every_pair_of_state_and_input_is_permitted_or_raises(state: ClientState, input: ClientInput) -> None:
    """Each pair has the next state that is written here, and every other pair is a defect that raises."""
    expected = PERMITTED[state].get(input)
    if expected is None:
        with pytest.raises(LocalError, match=f"{input.name} cannot happen to a client that is {state.name}"):
            transition(state, input)
    else:
        assert transition(state, input) is ClientState[expected]


def lives(state: ClientState) -> list[list[tuple[ClientInput, ClientState]]]:
    """Every way from a state to GONE, with repeated LEAVE left out."""
    if state is ClientState.GONE:
        return [[]]
    found = []
    for (before, input), after in CLIENT_TRANSITIONS.items():
        if before is state and after is not state:
            found += [[(input, after), *rest] for rest in lives(after)]
    return found


def test_an_accepted_client_enters_leaving_exactly_once_and_a_refused_one_never() -> None:
    """Whoever starts the disconnect handler on entering LEAVING runs it once for each acceptance."""
    all_lives = lives(ClientState.CONNECTING)
    assert len(all_lives) == 4
    for life in all_lives:
        accepted = sum(input is ACCEPT for input, _ in life)
        entered = sum(after is ClientState.LEAVING for _, after in life)
        assert accepted == entered <= 1


def test_a_client_that_leaves_before_it_is_accepted_is_never_connected() -> None:
    """Nothing is sent to it and no event of it runs; its disconnect handler follows the acceptance."""
    abandoned = transition(ClientState.CONNECTING, LEAVE)
    assert transition(abandoned, ACCEPT) is ClientState.LEAVING
