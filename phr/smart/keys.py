"""The public keys of a client: registered inline, or fetched from its registered https address, carefully."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from phr.smart.assertion import AssertionRefused
from phr.smart.models import Application

MAX_BYTES = 64 * 1024
TIMEOUT = 3.0  # seconds, for the whole fetch
LONGEST_CACHE = 3600  # seconds, however long the server allows

_cache: dict[str, tuple[float, list[Mapping[str, Any]]]] = {}


def keys_of(application: Application) -> Sequence[Mapping[str, Any]]:
    """Inline keys first; otherwise the address. Raises AssertionRefused when they cannot be had."""
    if application.client_jwks:
        return _keys(application.client_jwks)
    uri = application.client_jwks_uri
    if not uri:
        raise AssertionRefused("client has no keys")
    fresh_until, keys = _cache.get(uri, (0.0, []))
    if time.monotonic() >= fresh_until:
        keys, seconds = fetch(uri)
        if seconds:
            _cache[uri] = (time.monotonic() + seconds, keys)
    return keys


def fetch(uri: str) -> tuple[list[Mapping[str, Any]], int]:
    """GET a JWK Set: https, a public address, no redirects, bounded size and time.

    Returns the keys and how many seconds Cache-Control lets them be kept. Raises AssertionRefused.
    """
    try:
        body, control = _get(uri)
        return _keys(json.loads(body)), _seconds(control)
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise AssertionRefused("keys could not be fetched") from error


def _get(uri: str) -> tuple[bytes, str]:
    parts = urlsplit(uri)
    host = parts.hostname or ""
    plain = parts.scheme == "http"
    if (plain and not _trusts_loopback()) or parts.scheme not in ("http", "https") or parts.username:
        raise AssertionRefused("the key address is not https")
    port = parts.port or (80 if plain else 443)
    deadline = time.monotonic() + TIMEOUT
    connection = _connect(host, _address(host, port, plain), port, plain)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionRefused(f"the key address answered {answer.status}")
        body = b""
        while chunk := answer.read1(8192):
            body += chunk
            if len(body) > MAX_BYTES or time.monotonic() > deadline:
                raise AssertionRefused("the key document is too large or too slow")
        return body, answer.headers.get("Cache-Control", "")
    finally:
        connection.close()


def _trusts_loopback() -> bool:
    return bool(settings.DEBUG or settings.DEMO)


def _address(host: str, port: int, plain: bool) -> str:
    """One resolved address; every address of the name must be public, so a name cannot point inside."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for text in found:
        address = ip_address(text.partition("%")[0])
        inside = not address.is_global or address.is_multicast
        if inside and not (address.is_loopback and _trusts_loopback()):
            raise AssertionRefused("the key address is not public")
        if plain and not address.is_loopback:
            raise AssertionRefused("the key address is not https")
    return min(found)


def _connect(host: str, address: str, port: int, plain: bool) -> HTTPConnection:
    """Connect to the very address that was checked; the certificate is still checked against the name."""
    raw = socket.create_connection((address, port), timeout=TIMEOUT)
    connection: HTTPConnection
    if plain:
        connection = HTTPConnection(host, port, timeout=TIMEOUT)
        connection.sock = raw
    else:
        connection = HTTPSConnection(host, port, timeout=TIMEOUT)
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    return connection


def _keys(document: object) -> list[Mapping[str, Any]]:
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise AssertionRefused("not a JWK Set")
    return [key for key in keys if isinstance(key, dict)]


def _seconds(control: str) -> int:
    if re.search(r"\bno-(store|cache)\b", control):
        return 0
    age = re.search(r"\bmax-age=(\d{1,9})", control)
    return min(int(age[1]), LONGEST_CACHE) if age else 0
