"""Sending to an address outside: https, a public address, no redirects, bounded time."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings

TIMEOUT = 5.0  # seconds, for each step
ACCEPTED = range(200, 300)


class NotDelivered(Exception):
    """It was not taken; try again later. The text says why, without the address."""


def post(url: str, body: bytes, *, type: str = "application/json") -> None:
    """POST once. Raises NotDelivered: no https, an address inside, no answer, any answer but 2xx (3xx too)."""
    try:
        _post(url, body, type)
    except (OSError, HTTPException, ValueError) as error:
        raise NotDelivered(f"{error.__class__.__name__}") from error


def _post(url: str, body: bytes, type: str) -> None:
    parts = urlsplit(url)
    host, plain = parts.hostname or "", parts.scheme == "http"
    if parts.scheme not in ("http", "https") or parts.username or (plain and not settings.DEMO):
        raise NotDelivered("not an https address")
    port = parts.port or (80 if plain else 443)
    connection = _connected(host, _address(host, port, plain=plain), port, plain=plain)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {"Content-Type": type})
        status = connection.getresponse().status
    finally:
        connection.close()
    if status not in ACCEPTED:
        raise NotDelivered(f"answered {status}")


def _address(host: str, port: int, *, plain: bool) -> str:
    """One resolved address; every address of the name must be public, so that a name cannot point inside."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for text in found:
        address = ip_address(text.partition("%")[0])
        ours = address.is_loopback and settings.DEMO
        if (plain or not address.is_global or address.is_multicast) and not ours:
            raise NotDelivered("not a public address, or not https")
    return min(found)


def _connected(host: str, address: str, port: int, *, plain: bool) -> HTTPConnection:
    """Connected to the very address that was checked; the certificate is checked against the name."""
    raw = socket.create_connection((address, port), timeout=TIMEOUT)
    if plain:
        connection = HTTPConnection(host, port, timeout=TIMEOUT)
        connection.sock = raw
        return connection
    secured = HTTPSConnection(host, port, timeout=TIMEOUT)
    secured.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    return secured
