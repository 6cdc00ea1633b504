"""The ids of sessions have Node's form and cannot be guessed."""

from __future__ import annotations

import pytest

from carboy.engineio.sids import NAME_LENGTH, generate_name, generate_sid, is_sid


def test_sids_have_nodes_form() -> None:
    """An id is 20 characters long, which adapters and balancers rely on, and passes its own check."""
    sids = {generate_sid() for _ in range(2000)}
    assert {len(sid) for sid in sids} == {20}
    assert all(map(is_sid, sids))


def test_sids_are_unique_and_random_in_every_place() -> None:
    """No id comes twice, and every place takes all 64 characters."""
    sids = [generate_sid() for _ in range(5000)]
    assert len(set(sids)) == len(sids)
    assert {len({sid[place] for sid in sids}) for place in range(20)} == {64}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 19,
        "a" * 21,
        "a" * 19 + "\n",
        "a" * 20 + "\n",
        "é" * 20,
        "a" * 19 + "=",
        "__proto__",
        "a" * 19 + "+",
    ],
)
def test_other_texts_are_no_sids(text: str) -> None:
    """Nothing that we could not have made is taken for an id."""
    assert not is_sid(text)


def test_names_of_attributes_are_harmless_sids() -> None:
    """A name that means something elsewhere is an id like any other, if it has the form of one."""
    assert is_sid("__class____class____")


def test_sids_of_a_worker_begin_with_its_name() -> None:
    """They are as long as any other, and random behind the name."""
    sids = {generate_sid("ab_-") for _ in range(1000)}
    assert len(sids) == 1000
    assert {sid[:NAME_LENGTH] for sid in sids} == {"ab_-"}
    assert all(map(is_sid, sids))


def test_names_of_workers_may_stand_in_a_sid() -> None:
    """A name has the characters of an id, and hardly comes twice."""
    names = {generate_name() for _ in range(100)}
    assert len(names) > 95
    assert all(is_sid(name * 5) for name in names)
