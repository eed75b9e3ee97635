"""Loaded packages and the canonical resources in them.

`canonical(url)` answers from a directory each process keeps (url -> rows) and a bounded cache of contents.
Whether another process loaded or removed a package is asked at most once a second, by one small query.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import zstandard
from django.db import connection, transaction
from django.db.models import Count

from phr.records.profiles import archive, bundled, standing
from phr.records.profiles.models import Canonical, Package

STALE_AFTER = 1.0  # seconds
CONTENTS = 1024  # resources kept decoded
BUNDLED = ("hl7.fhir.r4.core",)  # needs no loading


@dataclass(frozen=True, slots=True)
class Row:
    """Where a canonical resource lies. `order`: the newest version of a url sorts last."""

    pk: int
    type: str
    version: str
    order: tuple[Any, ...]


@dataclass(slots=True)
class _Directory:
    """What this process knows of the tables; `mark` tells one state of them from another."""

    mark: tuple[int, int] | None = None
    asked_at: float = float("-inf")
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)


_here = _Directory()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading did. `before`: the version that stood there, if any; `changed`: whether anything was written.

    `needs`: packages it builds on that are not loaded; `structures`: urls of its StructureDefinitions.
    """

    name: str
    version: str
    resources: int
    before: str | None
    changed: bool
    needs: tuple[str, ...]
    structures: tuple[str, ...]


def load(packed: bytes, *, now: datetime) -> Loaded:
    """Load a package, all of it or nothing; one of the same name is replaced. Raises archive.Unloadable."""
    contents = archive.read(packed)
    standing.check(contents.found)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('load_ig', 0))")
        before = Package.objects.filter(name=contents.name).first()
        told = _told(contents, before)
        if before is not None:
            if before.digest == contents.digest:
                return replace(told, changed=False)
            before.delete()
        package = Package.objects.create(
            name=contents.name, version=contents.version, digest=contents.digest, loaded_at=now
        )
        press = zstandard.ZstdCompressor(level=12)
        Canonical.objects.bulk_create(
            (
                Canonical(package=package, url=f.url, version=f.version, type=f.type, content=press.compress(f.content))
                for f in contents.found
            ),
            batch_size=200,
        )
    forget()
    return told


def _told(contents: archive.Contents, before: Package | None) -> Loaded:
    there = {*Package.objects.values_list("name", flat=True), contents.name, *BUNDLED}
    return Loaded(
        name=contents.name,
        version=contents.version,
        resources=len(contents.found),
        before=before.version if before else None,
        changed=True,
        needs=tuple(sorted(set(contents.needs) - there)),
        structures=tuple(f.url for f in contents.found if f.type == "StructureDefinition"),
    )


def remove(name: str) -> bool:
    """Remove a package and what is in it; False where none of this name is loaded."""
    _, by_model = Package.objects.filter(name=name).delete()
    forget()
    return bool(by_model)


def listed() -> list[tuple[str, str, int, datetime]]:
    """(name, version, resources, loaded at) of each package, by name."""
    rows = Package.objects.annotate(resources=Count("canonicals")).order_by("name")
    return [(p.name, p.version, p.resources, p.loaded_at) for p in rows]


def canonical(url: str, version: str | None = None, *, type: str | None = None) -> dict[str, Any] | None:
    """The canonical resource of this url (or `url|version`), decimals as Decimal; None where none is known.

    Without a version: the newest. What the project bundles goes before what a package brings, where the version
    is not told. `type` restricts it to one resource type. The answer is shared: never change it.
    """
    url, _, told = url.partition("|")
    version = version or told or None
    if (own := bundled.canonical(url, version)) is not None and type in (None, own["resourceType"]):
        return own
    try:
        return _loaded(url, version, type)
    except Canonical.DoesNotExist:  # removed or replaced a moment ago, by another process
        forget()
        return _loaded(url, version, type)


def _loaded(url: str, version: str | None, type: str | None) -> dict[str, Any] | None:
    matches = [r for r in directory().get(url, ()) if type in (None, r.type)]
    if version is not None:
        matches = [r for r in matches if r.version == version or r.version.startswith(version + ".")]
    return _content(matches[-1].pk) if matches else None


def structure(url: str, version: str | None = None) -> dict[str, Any] | None:
    """The StructureDefinition of this url (or `url|version`), or None."""
    return canonical(url, version, type="StructureDefinition")


def urls(type: str) -> list[str]:
    """All canonical urls of a type that packages brought, sorted."""
    return sorted(url for url, rows in directory().items() if any(r.type == type for r in rows))


def directory() -> Mapping[str, tuple[Row, ...]]:
    """url -> rows, oldest version first; read anew when the tables changed."""
    at = time.monotonic()
    if at - _here.asked_at >= STALE_AFTER:
        with _lock:
            mark = _mark()
            if mark != _here.mark:
                _content.cache_clear()
                _here.rows, _here.mark = _read(), mark
            _here.asked_at = at
    return _here.rows


def generation() -> tuple[int, int] | None:
    """A value that changes whenever packages do: what is compiled from them is kept by it."""
    directory()
    return _here.mark


def forget() -> None:
    """Look at the tables again at the next question."""
    with _lock:
        _here.mark, _here.asked_at = None, float("-inf")


def _mark() -> tuple[int, int]:
    """Ids only grow: a package loaded, replaced or removed gives another highest id or count."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0), count(*) FROM phr_package")
        highest, count = cursor.fetchone()
    return highest, count


def _read() -> dict[str, tuple[Row, ...]]:
    found: dict[str, list[Row]] = {}
    for pk, url, type, version in Canonical.objects.values_list("pk", "url", "type", "version").order_by("pk"):
        found.setdefault(url, []).append(Row(pk, type, version, (*version_order(version), pk)))
    return {url: tuple(sorted(rows, key=lambda r: r.order)) for url, rows in found.items()}


def version_order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """A sort key: 1.10.0 after 1.9.0, a release after its drafts (1.0.0 after 1.0.0-ballot)."""
    core, _, draft = version.partition("-")
    numbers = tuple(int(p) if p.isascii() and p.isdigit() and len(p) < 10 else 0 for p in core.split("."))
    return numbers, not draft, draft


@lru_cache(maxsize=CONTENTS)
def _content(pk: int) -> dict[str, Any]:
    packed = Canonical.objects.values_list("content", flat=True).get(pk=pk)
    return decoded(zstandard.ZstdDecompressor().decompress(bytes(packed), max_output_size=archive.MOST_FILE))


def decoded(content: bytes) -> dict[str, Any]:
    """A resource from its JSON, decimals as Decimal."""
    return _decoder.decode(content.removeprefix(b"\xef\xbb\xbf"))


_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
