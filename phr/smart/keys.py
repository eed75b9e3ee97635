"""The public keys of a client: registered inline, or fetched from its registered https address, carefully."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from consent import outside
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
    accepted = {"Accept": "application/json"}
    try:
        answer = outside.call("GET", uri, headers=accepted, most=MAX_BYTES, seconds=TIMEOUT)
        if answer.status != 200:
            raise AssertionRefused(f"the key address answered {answer.status}")
        return _keys(json.loads(answer.body)), _seconds(answer.headers.get("cache-control", ""))
    except (outside.NotFetched, ValueError, RecursionError) as error:
        raise AssertionRefused("keys could not be fetched") from error


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
