"""Connectors and feeds: what a connector must offer (a feed: `items.Feed`), and where both are found.

A connector brings one person's input into her record; a feed names many people and writes for an organisation.

How an import runs: `accepting.accept` keeps the sealed input as an ImportRun; a worker (`running.run`) reads it,
compares it with the person it is for, plans the resources and commits them in chunks (`commit.commit`), each chunk a
transaction with its Provenance. Ids follow from content, so whatever is done twice is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from integrations.incoming import Part, Plan, Reading
from integrations.items import Feed
from integrations.problems import Problem
from phr.records.gateway import Records

Kind = TypeVar("Kind")


class UnknownKind(LookupError):
    """No connector of this name is installed."""


class Connector(Protocol):
    """One kind of input. A connector is a module (`integrations/<name>/connector.py`) with these names."""

    KIND: str  # jahis-qr: in URLs and commands
    MAX_BYTES: int  # of all parts together
    NEEDS: str  # the resource type whose `c` a token must carry to import at all

    def set_of(self, parts: Sequence[Part]) -> str:
        """What further parts of the same set share with these; "" when that cannot be told. Never raises."""

    def read(self, parts: Sequence[Part]) -> Reading:
        """Read the input. Pure. Raises problems.Unreadable when nothing of it can be imported."""

    def mismatches(self, content: Any, patient: Mapping[str, Any]) -> list[Problem]:
        """Where the input contradicts the FHIR Patient it is to go to; anything here stops the import. Pure."""

    def plan(self, content: Any, parts: Sequence[Part], *, subject: UUID, records: Records, now: datetime) -> Plan:
        """What is to be written for this person."""


@lru_cache(maxsize=1)
def _installed() -> tuple[Mapping[str, Connector], Mapping[str, Feed]]:
    """What is installed, by kind (`settings.INTEGRATIONS` lists the modules). Raises ImproperlyConfigured."""
    found = [import_module(path) for path in settings.INTEGRATIONS]
    named: dict[str, str] = {}
    for path, one in zip(settings.INTEGRATIONS, found, strict=True):
        if (first := named.setdefault(one.KIND, path)) != path:
            raise ImproperlyConfigured(f"INTEGRATIONS: {first} and {path} both have the KIND {one.KIND}")
    feeds_ = [cast("Feed", one) for one in found if hasattr(one, "items")]
    connectors_ = [cast("Connector", one) for one in found if not hasattr(one, "items")]
    return {one.KIND: one for one in connectors_}, {one.KIND: one for one in feeds_}


def connectors() -> Mapping[str, Connector]:
    """The installed connectors by kind."""
    return _installed()[0]


def feeds() -> Mapping[str, Feed]:
    """The installed feeds by kind."""
    return _installed()[1]


def connector(kind: str) -> Connector:
    """The connector of this kind. Raises UnknownKind."""
    return _named(connectors(), kind)


def feed(kind: str) -> Feed:
    """The feed of this kind. Raises UnknownKind."""
    return _named(feeds(), kind)


def _named(known: Mapping[str, Kind], kind: str) -> Kind:
    try:
        return known[kind]
    except KeyError:
        raise UnknownKind(kind) from None
