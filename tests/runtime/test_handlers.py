"""A handler is found in Flask-SocketIO's order, and its signature is read without calling it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from carboy.runtime.handlers import Handler, Handlers, is_coroutine_function, positional_bounds


def handler(function: Callable[..., Any] = lambda: None) -> Handler:
    """Makes a handler."""
    return Handler(function, lambda client, event, arguments: function(*arguments))


class Registry:
    """Handlers that are registered and found by the names of their places."""

    def __init__(self) -> None:
        self.handlers = Handlers()
        self._places: dict[Handler, tuple[str, str]] = {}

    def register(self, *places: tuple[str, str]) -> Registry:
        """Registers a handler at each of these places."""
        for place in places:
            made = handler()
            self._places[made] = place
            self.handlers.register(*place, made)
        return self

    def register_class(self, namespace: str) -> Registry:
        """Registers a class."""

        def resolve(event: str) -> Handler:
            made = handler()
            self._places[made] = (f"class {namespace}", event)
            return made

        self.handlers.register_namespace(namespace, resolve)
        return self

    def find(self, namespace: str, event: str) -> tuple[tuple[str, str], bool] | None:
        """Finds a handler, and returns its place."""
        found = self.handlers.find(namespace, event)
        return None if found is None else (self._places[found[0]], found[1])


# The places in the order in which they are looked at, and whether the event's name goes before the arguments.
ORDER = [
    (("/n", "e"), False),
    (("/n", "*"), True),
    (("*", "e"), False),
    (("*", "*"), True),
]


@pytest.mark.parametrize("first", range(4))
def test_nearest_registration_answers(first: int) -> None:
    """The event goes before the catch-all event, the namespace before any namespace."""
    registry = Registry().register(*(place for place, _ in ORDER[first:]))
    assert registry.find("/n", "e") == ORDER[first]


def test_function_goes_before_a_class() -> None:
    """Any function that answers hides the classes; the class of the namespace goes before that of any."""
    registry = Registry().register_class("/n").register_class("*")
    assert registry.find("/n", "e") == (("class /n", "e"), False)
    assert registry.find("/m", "e") == (("class *", "e"), False)
    registry.register(("*", "*"))
    assert registry.find("/n", "e") == (("*", "*"), True)


def test_nobody_answers_what_is_not_registered() -> None:
    """An event of another name, or in another namespace, finds nothing."""
    registry = Registry().register(("/n", "e"))
    assert registry.find("/n", "f") is None
    assert registry.find("/m", "e") is None


def test_last_registration_counts() -> None:
    """Registering again replaces."""
    handlers, last = Handlers(), handler()
    handlers.register("/", "e", handler())
    handlers.register("/", "e", last)
    assert handlers.find("/", "e") == (last, False)


@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_catch_all_events_never_get_the_lifecycle(event: str) -> None:
    """They reach a handler of that name only, in the namespace, in any, or in a class."""
    registry = Registry().register(("/n", "*"), ("*", "*"))
    assert registry.find("/n", event) is None
    registry.register_class("/n")
    assert registry.find("/n", event) == (("class /n", event), False)
    registry.register(("*", event))
    assert registry.find("/n", event) == (("*", event), False)
    registry.register(("/n", event))
    assert registry.find("/n", event) == (("/n", event), False)


def test_event_named_like_the_catch_all_is_any_other_event() -> None:
    """A client that emits "*" chooses nothing: the catch-all gets it with its name."""
    registry = Registry().register(("/n", "*"), ("/n", "e"))
    assert registry.find("/n", "*") == (("/n", "*"), True)
    assert Registry().register(("/n", "e")).find("/n", "*") is None


def test_event_with_a_number_for_a_name_is_looked_up_as_well() -> None:
    """The protocol allows numbers as names."""
    assert Registry().register(("/n", "*")).find("/n", 7) == (("/n", "*"), True)  # type: ignore[arg-type]


def test_namespace_is_accepted_if_anything_is_registered_for_it() -> None:
    """A function or a class will do, for the namespace or for any."""
    handlers = Handlers()
    assert not handlers.accepts("/n")
    handlers.register("/n", "e", handler())
    handlers.register_namespace("/m", lambda event: handler())
    assert handlers.accepts("/n")
    assert handlers.accepts("/m")
    assert not handlers.accepts("/o")
    handlers.register("*", "e", handler())
    assert handlers.accepts("/o")


def test_function_that_is_unregistered_answers_no_more() -> None:
    """Neither in its namespace nor by the short way; the namespace is known until it is unregistered too."""
    handlers = Handlers()
    for event in ("e", "f", "connect", "*"):
        handlers.register("/", event, handler())
    assert list(handlers.named) == ["e", "f"]
    handlers.unregister("/", "e")
    handlers.unregister("/", "*")
    assert handlers.find("/", "e") is None
    assert list(handlers.named) == ["f"]
    assert list(handlers.functions()["/"]) == ["f", "connect"]
    handlers.unregister("/")
    assert (handlers.find("/", "f"), handlers.named, handlers.functions()) == (None, {}, {})
    assert not handlers.accepts("/")


def test_short_way_keeps_the_events_of_the_main_namespace_alone() -> None:
    """Whatever is unregistered elsewhere."""
    handlers = Handlers()
    for namespace in ("/", "/n"):
        handlers.register(namespace, "e", handler())
    handlers.unregister("/n", "e")
    handlers.unregister("/n")
    assert list(handlers.named) == ["e"]


def test_class_that_is_unregistered_answers_no_more() -> None:
    """Its namespace is as if it had never been."""
    handlers = Handlers()
    handlers.register_namespace("/n", lambda event: handler())
    assert list(handlers.classes()) == ["/n"]
    handlers.unregister_namespace("/n")
    assert (handlers.find("/n", "e"), handlers.accepts("/n"), handlers.classes()) == (None, False, {})


def test_what_is_not_registered_cannot_be_unregistered() -> None:
    """As with a dict."""
    handlers = Handlers()
    handlers.register("/n", "e", handler())
    for wrong in (("/n", "f"), ("/m", "e"), ("/m",)):
        with pytest.raises(KeyError):
            handlers.unregister(*wrong)
    with pytest.raises(KeyError):
        handlers.unregister_namespace("/n")


def test_what_is_shown_is_a_copy() -> None:
    """It may be changed while the server works, and changes nothing."""
    handlers, made = Handlers(), handler()
    handlers.register("/n", "e", made)
    shown = handlers.functions()
    assert shown == {"/n": {"e": made}}
    shown["/n"].clear()
    handlers.classes()["/m"] = lambda event: made
    assert handlers.find("/n", "e") == (made, False)
    assert not handlers.accepts("/m")


async def coroutine_function() -> None:
    """Is a coroutine function."""


class Callables:
    """Functions of all kinds."""

    async def method(self) -> None:
        """Is a coroutine function."""

    async def __call__(self) -> None:
        """Makes the object one."""

    def plain(self) -> None:
        """Is none."""

    func = None  # an attribute that only looks like a partial's


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (coroutine_function, True),
        (functools.partial(functools.partial(coroutine_function)), True),
        (Callables().method, True),
        (Callables(), True),
        (functools.partial(Callables()), True),
        (Callables().plain, False),
        (Callables, False),
        (lambda: None, False),
        (print, False),
    ],
)
def test_coroutine_function_is_recognised(function: Callable[..., Any], expected: bool) -> None:
    """Partials and objects with an async `__call__` are coroutine functions too; nothing is called."""
    assert is_coroutine_function(function) is expected
    assert Handler(function, lambda client, event, arguments: None).is_async is expected


@pytest.mark.parametrize(
    ("function", "bounds"),
    [
        (lambda: None, (0, 0)),
        (lambda a, b=1: None, (1, 2)),
        (lambda a, /, b, *, c=1: None, (2, 2)),
        (lambda *args: None, (0, float("inf"))),
        (lambda a, *args, **kwargs: None, (1, float("inf"))),
        (functools.partial(lambda a, b: None, 1), (1, 1)),
        (Callables().plain, (0, 0)),
        (dict.get, (2, 3)),
        (type, (0, float("inf"))),
    ],
)
def test_bounds_of_the_arguments_are_read(function: Callable[..., Any], bounds: tuple[int, float]) -> None:
    """The least and the greatest number of positional arguments; what cannot be read takes anything."""
    assert positional_bounds(function) == bounds
