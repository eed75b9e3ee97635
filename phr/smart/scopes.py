"""SMART App Launch 2.2 scopes: text -> permissions -> doors. Pure: no database, no clock.

`(patient|user|system)/(Type|*).[c][r][u][d][s][?param=value&…]`, letters in that order; the v1 forms
`.read`, `.write` and `.*` are understood. A query narrows a permission to resources that bear one of
the named tokens (granular scopes); it is carried as the same hashed terms the record is indexed by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from consent.scope import LETTERS, Door
from phr.smart.narrowing import is_type, terms_for

LAUNCH = frozenset({"launch", "launch/patient", "launch/encounter"})
IDENTITY = frozenset({"openid", "fhirUser", "profile"})
REFRESH = frozenset({"offline_access", "online_access"})
TRUST = frozenset({"trust.read", "trust.write"})  # our own: the trust's API (phr/api)
PLAIN = LAUNCH | IDENTITY | REFRESH | TRUST
CONTEXTS = ("patient", "user", "system")
V1 = {"read": "rs", "write": "cud", "*": LETTERS}

MAX_LENGTH = 4000  # characters of a whole scope text
MAX_PARTS = 60

# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_PERMISSION = re.compile(
    r"(?P<context>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]{1,40})"
    r"\.(?P<letters>read|write|\*|[a-z]+)(?:\?(?P<query>.+))?"
)
_SAFE = "/:|,.-_~$@*()!"  # need no escaping inside a scope's query
_ORDERED = re.compile(r"c?r?u?d?s?")

Terms = Callable[[str, str, str, bytes], frozenset[int]]


class ScopeError(ValueError):
    """A scope that cannot be granted; the text (ASCII, RFC 6749 section 5.2) names the scope and the fault."""

    def __init__(self, scope: str, why: str) -> None:
        super().__init__(f"{scope}: {why}")
        self.scope, self.why = scope, why


@dataclass(frozen=True, slots=True)
class Permission:
    """One clinical scope. `query`: (parameter, value) pairs, all of which must hold."""

    context: str  # patient, user, system
    type: str  # "*" = any
    letters: str  # a subset of "cruds", in order
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        pairs = (f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in self.query)
        tail = "?" + "&".join(pairs) if self.query else ""
        return f"{self.context}/{self.type}.{self.letters}{tail}"


def split(text: str) -> tuple[str, ...]:
    """The scopes of a text, in order, each once. Raises ScopeError on length or characters."""
    if len(text) > MAX_LENGTH:
        raise ScopeError(text[:40], f"longer than {MAX_LENGTH} characters")
    parts = tuple(dict.fromkeys(text.split()))
    if len(parts) > MAX_PARTS:
        raise ScopeError(parts[0], f"more than {MAX_PARTS} scopes")
    for part in parts:
        if not _TOKEN.fullmatch(part):
            raise ScopeError(ascii(part), "characters outside RFC 6749 section 3.3")
    return parts


def permission(scope: str) -> Permission:
    """Parse one clinical scope. Raises ScopeError."""
    match = _PERMISSION.fullmatch(scope)
    if not match:
        raise ScopeError(scope, "not a scope this server knows")
    letters = V1.get(match["letters"], match["letters"])
    if not letters or not _ORDERED.fullmatch(letters):
        raise ScopeError(scope, f"letters must be some of {LETTERS}, in this order")
    if match["type"] != "*" and not is_type(match["type"]):
        raise ScopeError(scope, "no such resource type in FHIR R4")
    return Permission(match["context"], match["type"], letters, _query(scope, match["query"]))


def _query(scope: str, text: str | None) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    pairs = []
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise ScopeError(scope, f"'{part}' is not parameter=value")
        pairs.append((unquote(name), unquote(value)))
    return tuple(pairs)


def parse(scopes: Iterable[str]) -> tuple[Permission, ...]:
    """The clinical permissions among the scopes; the plain ones (openid, launch …) pass. Raises ScopeError."""
    return tuple(permission(scope) for scope in scopes if scope not in PLAIN)


def to_doors(scopes: Iterable[str], index_key: bytes, *, terms: Terms = terms_for) -> tuple[Door, ...]:
    """Step L0 of the decision as data: one Door per clinical scope.

    Raises ScopeError, also for a query that is not a token or reference search parameter of the type.
    """
    return tuple(_door(p, index_key, terms) for p in parse(scopes))


def _door(given: Permission, index_key: bytes, terms: Terms) -> Door:
    if given.query and given.type == "*":
        raise ScopeError(str(given), "a query needs a resource type")
    try:
        choices = tuple(terms(given.type, name, value, index_key) for name, value in given.query)
    except ValueError as error:
        raise ScopeError(str(given), str(error)) from error
    return Door(given.type, given.letters, choices)


@lru_cache(maxsize=4096)
def rights_of(text: str) -> frozenset[str]:
    """What a token opens beside the record."""
    return TRUST & frozenset(text.split())


@lru_cache(maxsize=4096)
def doors_of(text: str, index_key: bytes) -> tuple[Door, ...]:
    """`to_doors` of a token's scope text, remembered: tokens share few scope texts."""
    return to_doors(split(text), index_key)


def contexts(scopes: Iterable[str]) -> frozenset[str]:
    """Which of patient, user, system occur."""
    return frozenset(p.context for p in parse(scopes))


def needs_patient(scopes: Iterable[str]) -> bool:
    """Whether a patient must be in context (SMART App Launch 2.2, section 3.1.3)."""
    scopes = tuple(scopes)
    return bool({"launch/patient", "launch/encounter"} & set(scopes)) or "patient" in contexts(scopes)


def narrow(requested: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """The part of `requested` that `allowed` contains; letters are cut one by one, order kept.

    A permission is contained in one of the same context with the same or any type and with no query
    or the same query. Plain scopes must be allowed by name.
    """
    allowed = tuple(allowed)
    ceilings = parse(allowed)
    kept = [_cut(scope, ceilings) if scope not in PLAIN else scope * (scope in allowed) for scope in requested]
    return tuple(dict.fromkeys(scope for scope in kept if scope))


def _cut(scope: str, ceilings: tuple[Permission, ...]) -> str:
    asked = permission(scope)
    letters = {letter for c in ceilings if _under(asked, c) for letter in c.letters}
    kept = "".join(letter for letter in asked.letters if letter in letters)
    if kept == asked.letters:
        return scope
    return str(Permission(asked.context, asked.type, kept, asked.query)) if kept else ""


def _under(asked: Permission, ceiling: Permission) -> bool:
    return (
        asked.context == ceiling.context
        and ceiling.type in ("*", asked.type)
        and set(ceiling.query) <= set(asked.query)
    )
