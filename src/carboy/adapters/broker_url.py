"""The URL of a message broker: read once, and shown without what is secret in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from carboy.exceptions import ConfigurationError

ENCODE = "Characters like / ? # @ in a user name or password must be percent-encoded: '/' is '%2F'"


@dataclass(frozen=True)
class BrokerURL:
    """Where a broker is, and who we are there.

    Attributes:
        scheme: what stands before `://`, in lower case.
        hosts: host names and ports; a port is None where the URL has none.
        username: the user, or None.
        password: the password, or None.
        path: what stands between the hosts and the query, with its first slash, still encoded.
        query: what follows the question mark.
        second_port: what follows a `+` behind the port, which the URLs of ZeroMQ have.
    """

    scheme: str
    hosts: tuple[tuple[str, int | None], ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    second_port: int | None = None

    @classmethod
    def parse(cls, url: str) -> BrokerURL:
        """Reads a URL.

        Args:
            url: `scheme://[user[:password]@]host[:port][,host[:port]]...[/path][?name=value]`.

        Raises:
            ConfigurationError: if it cannot be read. Its text quotes nothing that could be of a password.
        """
        scheme, separator, _ = url.partition("://")
        if not separator:
            raise ConfigurationError("The URL of the message queue has the form scheme://host:port")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _unreadable(scheme, "cannot be read") from None
        if "@" in parts.path + parts.query or parts.fragment:
            raise _unreadable(scheme, "has an @ or a # where none can be")
        return cls._of(parts)

    @classmethod
    def _of(cls, parts: SplitResult) -> BrokerURL:
        user, _, hosts = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        hosts, _, second_port = hosts.partition("+")
        return cls(
            scheme=parts.scheme,
            hosts=tuple(_host_and_port(host, parts.scheme) for host in hosts.split(",") if host),
            username=unquote(name) or None,
            password=unquote(password) or None,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            second_port=_port(second_port, parts.scheme) if second_port else None,
        )

    def addresses(self, port: int, host: str = "localhost") -> list[tuple[str, int]]:
        """Returns hosts and ports.

        Args:
            port: the port where the URL has none.
            host: the host where the URL has none.
        """
        return [(name, number or port) for name, number in self.hosts] or [(host, port)]

    def __str__(self) -> str:
        """Returns the URL without user, password and query, for logs and errors."""
        hosts = ",".join(
            (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "") for host, port in self.hosts
        )
        second = f"+{self.second_port}" if self.second_port else ""
        return f"{self.scheme}://{hosts}{second}{self.path}"

    def without_secrets(self, text: str) -> str:
        """Returns a text with the password taken out, for what others say about this URL."""
        return text.replace(self.password, "***") if self.password else text


def _host_and_port(text: str, scheme: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # no port, or an IPv6 address alone
        host, port = text, ""
    return host.strip("[]"), _port(port, scheme) if colon and port else None


def _port(text: str, scheme: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise _unreadable(scheme, "has a port that is not a number from 1 to 65535")


def _unreadable(scheme: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"The {scheme}:// URL of the message queue {what}. {ENCODE}")
