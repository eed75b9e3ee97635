"""What came of each Item before: so that the same again is nothing, and no two runs write one fact twice."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection

from consent import prepared
from integrations.items import Feed, Item
from integrations.resolving import Linked
from phr.records import body, vault

if TYPE_CHECKING:
    from integrations.storing import Source

_OF = """
SELECT id, digest, subject_id, content, said_at, names, salt FROM integrations_knownitem
 WHERE organization_id = %s AND kind = %s AND digest = ANY(%s)
"""
_HOLD = "SELECT id, content, said_at FROM integrations_knownitem WHERE id = ANY(%s) ORDER BY digest FOR UPDATE"
_TOLD = """unnest(%s::bytea[], %s::uuid[], %s::bytea[], %s::text[], %s::text[], %s::boolean[], %s::bigint[], %s::text[])
  AS told(digest, subject, content, said_at, names, deleted, number, salt)"""
_ADD = f"""
INSERT INTO integrations_knownitem
  (organization_id, kind, digest, subject_id, content, said_at, names, deleted, number_id, salt, run_id)
SELECT %s, %s, told.digest, told.subject, told.content, told.said_at, string_to_array(told.names, ' '), told.deleted,
       told.number, told.salt, %s
  FROM {_TOLD} ORDER BY told.digest
ON CONFLICT DO NOTHING RETURNING 1
"""  # noqa: S608
_CHANGE = f"""
UPDATE integrations_knownitem k
   SET subject_id = told.subject, content = told.content, deleted = told.deleted,
       said_at = GREATEST(k.said_at COLLATE "C", told.said_at COLLATE "C"),
       names = string_to_array(told.names, ' '), number_id = told.number, salt = told.salt, run_id = %s
  FROM {_TOLD}
 WHERE k.organization_id = %s AND k.kind = %s AND k.digest = told.digest
"""  # noqa: S608
_AHEAD = timedelta(days=1)  # clocks that go fast, and zones
_NO_DIGIT = re.compile(r"\D", re.ASCII)
Fact = tuple[Linked, bytes, Item, Sequence[str]]
Changed_ = tuple[Linked, bytes, Item, Sequence[str], str]


class Changed(Exception):
    """Somebody else has written what is known of an Item meanwhile: look again."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one Item."""

    id: int
    subject: UUID
    content: bytes
    said_at: str
    names: tuple[str, ...]
    salt: str


def said(item: Item, *, now: datetime) -> str:
    """When the source said it, as far as that can be believed: "" for a time to come, which nothing would replace."""
    digits = _NO_DIGIT.sub("", item.said_at)[:14]
    return "" if digits > _latest(now)[: len(digits)] else item.said_at


@lru_cache(maxsize=4)
def _latest(now: datetime) -> str:
    return f"{now + _AHEAD:%Y%m%d%H%M%S}"


def dated(item: Item, said_at: str) -> Item:
    """The Item as said at this time."""
    return item if item.said_at == said_at else replace(item, said_at=said_at)


def digest_of(key: str) -> bytes:
    return _keyed(b"item", key.encode("utf-8", "replace"))


def content_of(feed: Feed, item: Item) -> bytes:
    """What an Item says, and who maps it: a feed that maps anew says something new."""
    said = body.canonical({"": item.content, "deleted": item.deleted})
    return _keyed(b"content", str(getattr(feed, "VERSION", 1)).encode() + b"\x1f" + said)


def _keyed(kind: bytes, text: bytes) -> bytes:
    return blake2b(text, key=vault.index_key(), digest_size=32, person=kind).digest()


def of(source: Source, digests: Iterable[bytes]) -> dict[bytes, Known]:
    """What is known of these Items of this organisation and kind."""
    wanted = list(digests)
    if not wanted:
        return {}
    rows = prepared.fetch(_OF, [source.organization.pk, _kind(source), wanted])
    return {
        bytes(digest): Known(id, subject, bytes(content), said_at, tuple(names), salt)
        for id, digest, subject, content, said_at, names, salt in rows
    }


def hold(known: Collection[Known]) -> None:
    """Lock what will change, in one order. Raises Changed."""
    if not known:
        return
    rows = prepared.fetch(_HOLD, [[one.id for one in known]])
    now = {id: (bytes(content), said_at) for id, content, said_at in rows}
    if any(now.get(one.id) != (one.content, one.said_at) for one in known):
        raise Changed


def add(source: Source, facts: Mapping[bytes, Fact]) -> None:
    """Keep what is new, in one order. Raises Changed where another writer was faster."""
    if not facts:
        return
    values = [source.organization.pk, _kind(source), _run(source)]
    told = _columns({digest: (*fact, "") for digest, fact in facts.items()})
    if len(prepared.fetch(_ADD, [*values, *told])) < len(facts):
        raise Changed


def change(source: Source, facts: Mapping[bytes, Changed_]) -> None:
    """Keep what is said now; the rows are held."""
    if facts:
        with connection.cursor() as cursor:
            cursor.execute(_CHANGE, [_run(source), *_columns(facts), source.organization.pk, _kind(source)])


def said_later(source: Source, later: Mapping[bytes, str]) -> None:
    """The same was said again, at a later time."""
    if later:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE integrations_knownitem k SET said_at = told.said_at"
                " FROM unnest(%s::bytea[], %s::text[]) AS told(digest, said_at) WHERE k.organization_id = %s"
                " AND k.kind = %s AND k.digest = told.digest AND k.said_at < told.said_at",
                [list(later), list(later.values()), source.organization.pk, _kind(source)],
            )


def drop(source: Source, digests: Collection[bytes]) -> None:
    """What could not be stored is not known."""
    if digests:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM integrations_knownitem WHERE organization_id = %s AND kind = %s AND digest = ANY(%s)",
                [source.organization.pk, _kind(source), list(digests)],
            )


def _kind(source: Source) -> str:
    """Under which kind the Items are known: two feeds that read one thing by two ways name the same in FACTS."""
    return str(getattr(source.feed, "FACTS", source.feed.KIND))


def _run(source: Source) -> UUID | None:
    return source.run.pk if source.run else None


def _columns(facts: Mapping[bytes, Changed_]) -> list[list[object]]:
    rows = [
        (digest, who.subject, content, item.said_at[:32], " ".join(names), item.deleted, who.number, salt)
        for digest, (who, content, item, names, salt) in sorted(facts.items())
    ]
    return [list(column) for column in zip(*rows, strict=True)]
