"""Asking an address outside, carefully: the one way in which this server calls another.

https only (http only to this very machine, in the demo and in DEBUG); where origins are registered, those alone; every
address a name resolves to must be public, and the connection goes to the very address that was checked, so that no
name can point inside, now or between two questions; redirects are answers, never followed; proxies of the environment
are ignored; TLS is verified against the name; size and time are bounded for the whole call.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import IO
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

TIMEOUT = 5.0  # seconds, for each step
MOST_BYTES = 64 * 1024
ACCEPTED = range(200, 300)
PIECE = 64 * 1024

# What Python calls global and still leads inside: addresses of metadata services, and IPv6 forms that carry an IPv4
# address to a translator or tunnel (RFC 3056, RFC 7526, RFC 4380), behind which anything may stand. Of IPv6 only what
# is given out as global unicast (RFC 4291 §2.4, IANA), without what is kept for protocols and documentation.
_INSIDE = tuple(map(IPv4Network, ("192.0.0.0/24", "168.63.129.16/32", "192.88.99.0/24")))
_UNICAST = IPv6Network("2000::/3")
_TRANSLATED = tuple(map(IPv6Network, ("2002::/16", "2001::/23", "2001:db8::/32", "3fff::/20")))


class NotFetched(Exception):
    """There is no answer. `code` says why and `text` says it in words, both without the address.

    `passes`: whether the same call may have an answer later.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text

    @property
    def passes(self) -> bool:
        return self.code in ("unreachable", "too-slow")


class NotDelivered(Exception):
    """It was not taken; try again later. The text says why, without the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def origin(url: str) -> str:
    """scheme://host:port of an address, as registered origins are compared. Raises NotFetched for what is none."""
    parts = _parts(url)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{_port(parts)}"


def call(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    origins: Collection[str] | None = None,
    most: int = MOST_BYTES,
    seconds: float = 10.0,
    into: IO[bytes] | None = None,
) -> Answer:
    """One request. `origins`: the registered ones (of `origin`); None = any public https address.

    `most`: bytes of the answer; `seconds`: for the whole call, after the name was looked up. `into`: where the body of
    a 200 goes, piece by piece, instead of into the Answer. Raises NotFetched.
    """
    parts = _parts(url)
    if origins is not None and origin(url) not in origins:
        raise NotFetched("other-host", "not an address that is registered")
    try:
        with _within(parts, seconds) as connection:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            told = {"Accept-Encoding": "identity", "Connection": "close", **(headers or {})}
            connection.request(method, target, body, told)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, named, _read(answer, most, into if answer.status == 200 else None))
    except ssl.SSLCertVerificationError as error:
        raise NotFetched("not-trusted", "the certificate does not stand for the name") from error
    except (OSError, HTTPException, ValueError) as error:
        raise NotFetched("unreachable", type(error).__name__) from error


def post(url: str, body: bytes, *, type: str = "application/json") -> None:
    """POST once. Raises NotDelivered: no https, an address inside, no answer, any answer but 2xx (3xx too)."""
    try:
        status = call("POST", url, body=body, headers={"Content-Type": type}).status
    except NotFetched as error:
        raise NotDelivered(str(error)) from error
    if status not in ACCEPTED:
        raise NotDelivered(f"answered {status}")


def trusts_this_machine() -> bool:
    """Whether this very machine may be called, without TLS: in the demo and while developing only."""
    return bool(settings.DEBUG or settings.DEMO)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.username is None and parts.password is None and url.isascii()
        _port(parts)
    except ValueError:
        raise NotFetched("not-an-address", "not an address") from None
    plain = parts.scheme == "http" and trusts_this_machine()
    if not sound or any(c.isspace() or not c.isprintable() for c in url):
        raise NotFetched("not-an-address", "not an address")
    if parts.scheme != "https" and not plain:
        raise NotFetched("not-https", "not an https address")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (80 if parts.scheme == "http" else 443)


@contextmanager
def _within(parts: SplitResult, seconds: float) -> Iterator[HTTPConnection]:
    """A connection that is cut when its time is over, wherever it hangs. Raises NotFetched."""
    plain, host = parts.scheme == "http", parts.hostname or ""
    raw = socket.create_connection((_address(host, _port(parts), plain=plain), _port(parts)), min(TIMEOUT, seconds))
    over = threading.Event()
    timer = threading.Timer(seconds, _cut, (raw.dup(), over))
    timer.daemon = True
    timer.start()
    connection: HTTPConnection | None = None
    try:
        connection = _upgraded(raw, host, _port(parts), plain=plain)
        yield connection
        if over.is_set():  # what was read ends there as if it were whole
            raise NotFetched("too-slow", "took too long")
    except (OSError, HTTPException, ValueError) as error:
        if over.is_set() or isinstance(error, TimeoutError):
            raise NotFetched("too-slow", "took too long") from error
        raise
    finally:
        timer.cancel()
        raw.close()
        if connection is not None:
            connection.close()


def _cut(copy: socket.socket, over: threading.Event) -> None:
    over.set()
    with copy:
        try:
            copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was over already


def _upgraded(raw: socket.socket, host: str, port: int, *, plain: bool) -> HTTPConnection:
    """The connection to speak through; the certificate is checked against the name."""
    connection: HTTPConnection
    if plain:
        connection = HTTPConnection(host, port)
        connection.sock = raw
    else:
        connection = HTTPSConnection(host, port)
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    return connection


def _read(answer: HTTPResponse, most: int, into: IO[bytes] | None) -> bytes:
    body, size = bytearray(), 0
    while piece := answer.read1(PIECE):
        size += len(piece)
        if size > most:
            raise NotFetched("too-large", f"more than {most} bytes")
        if into is None:
            body += piece
        else:
            into.write(piece)
    if answer.length:  # fewer bytes than were announced
        raise NotFetched("unreachable", "the answer ended early")
    return bytes(body)


def _address(host: str, port: int, *, plain: bool) -> str:
    """One resolved address; every address of the name must be public, so that a name cannot point inside."""
    found = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    for text in found:
        address = ip_address(text.partition("%")[0])
        ours = address.is_loopback and trusts_this_machine()
        if not ours and not is_public(address):
            raise NotFetched("inside", "not a public address")
        if plain and not address.is_loopback:
            raise NotFetched("not-https", "not an https address")
    return found[0]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is out in the world: not private, shared, local, multicast, a metadata service or a tunnel."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _INSIDE)
    return address in _UNICAST and not any(address in net for net in _TRANSLATED)
