"""What all drivers share is right in orders that a real broker cannot be made to follow."""

from __future__ import annotations

import asyncio

import pytest

from carboy.adapters.broker_driver import BrokerDriver
from carboy.adapters.broker_url import BrokerURL
from carboy.exceptions import BrokerError

URL = BrokerURL.parse("test://user:hunter2@host:1")


class Scripted(BrokerDriver):
    """A driver whose broker does what the test says."""

    def __init__(self, timeout: float = 5) -> None:
        super().__init__(URL, timeout)
        self.fault: BaseException | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.ended = 0

    async def _act(self) -> None:
        await self.answers.wait()
        if self.fault is not None:
            raise self.fault

    async def _open(self, channels):
        await self._act()

    async def _send(self, messages):
        await self._act()

    async def _probe(self):
        await self._act()

    async def _end(self):
        self.ended += 1
        raise asyncio.CancelledError


def test_messages_that_came_before_an_error_are_not_lost():
    """What arrived is handed out first; then the error, in each call."""

    async def scene():
        driver = Scripted()
        await driver.connect(["c"])
        driver._deliver(b"1")
        driver._fail(OSError("gone"))
        assert await driver.receive() == [b"1"]
        for _ in range(2):
            with pytest.raises(BrokerError, match="gone"):
                await driver.receive()
        await driver.close()

    asyncio.run(scene())


def test_first_error_is_the_one_that_is_told():
    """What follows from an error does not hide it, and connecting again forgets it."""

    async def scene():
        driver = Scripted()
        await driver.connect(["c"])
        driver._fail(OSError("cause"))
        driver._fail(OSError("consequence"))
        with pytest.raises(BrokerError, match="cause"):
            await driver.publish([("c", b"")])
        await driver.connect(["c"])
        await driver.publish([("c", b"")])
        await driver.close()

    asyncio.run(scene())


def test_publishing_that_was_cancelled_ends_the_connection():
    """Half a conversation is of no use: whoever publishes next would read the answers to it."""

    async def scene():
        driver = Scripted()
        await driver.connect(["c"])
        driver.answers.clear()
        publishing = asyncio.ensure_future(driver.publish([("c", b"")]))
        await asyncio.sleep(0.01)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        with pytest.raises(BrokerError):
            await driver.receive()
        await driver.close()

    asyncio.run(scene())


def test_answer_that_waits_behind_messages_is_no_dead_connection():
    """While messages are received, an unanswered probe proves nothing; without any it does."""

    async def scene():
        driver = Scripted(timeout=0.1)
        await driver.connect(["c"])
        driver.answers.clear()
        for _ in range(20):
            driver._deliver(b"1")
            await driver.receive()
            await asyncio.sleep(0.01)
        with pytest.raises(BrokerError, match="no answer within"):
            await asyncio.wait_for(driver.receive(), 5)
        await driver.close()

    asyncio.run(scene())


def test_library_that_fails_while_it_ends_does_no_harm():
    """Closing never raises, even when a library lets its own cancellation out."""

    async def scene():
        driver = Scripted()
        driver.fault = OSError("refused")
        with pytest.raises(BrokerError):
            await driver.connect(["c"])
        ended = driver.ended
        await driver.close()
        assert (ended, driver.ended) == (2, 3)  # before and after the attempt, and now

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), "check the certificates"),
        (OSError("invalid username-password pair"), "check the user name and the password"),
        (OSError("login user:hunter2 refused: auth"), "check the user name and the password"),
        (OSError("[Errno -2] Name or service not known"), "check the host name"),
        (OSError("[Errno 111] Connect call failed"), "check that it runs at this host and port"),
        (OSError("maximum payload exceeded"), "raise the size"),
        (TimeoutError(), "check that it runs"),
        (RuntimeError("odd"), "test://host:1: odd"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_error_tells_what_to_check_and_no_password(error, told):
    """The text has the broker, what happened, and what to do about it where that is known."""

    async def scene():
        driver = Scripted()
        driver.fault = error
        with pytest.raises(BrokerError) as raised:
            await driver.connect(["c"])
        assert "test://host:1: " in str(raised.value)
        assert told in str(raised.value)
        assert "hunter2" not in str(raised.value)

    asyncio.run(scene())
