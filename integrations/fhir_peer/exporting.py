"""Fetching by Bulk Data Export: kicked off, looked after on later turns, downloaded, stored as any other answer.

For peers with many linked persons. What the files hold of people who are not linked is passed over unread by anybody.
Source: HL7 FHIR Bulk Data Access 2.0 (kick-off, status, complete status response).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from itertools import islice
from typing import IO, Any, cast
from urllib.parse import quote, urlencode

from integrations.fhir_peer import client, parse, pulling, registry, storing
from integrations.fhir_peer.client import Clock, Failed
from integrations.fhir_peer.parse import Resource, Unusable
from integrations.fhir_peer.registry import Linked
from integrations.fhir_peer.storing import Ended
from integrations.models import Peer, PeerKnown

MOST_BYTES = 2 * 1024**3  # of one file
LONGEST_LINE = 8 * 1024 * 1024
SECONDS = 1500.0  # for one file: less than a turn lasts
MOST_FILES = 5000
BEAT = timedelta(seconds=30)


def pull(peer: Peer, *, clock: Clock) -> None:
    """Kick off an export, or look after the one that runs there. Raises Failed."""
    if not registry.numbers(peer).exists():
        return
    if not peer.export_url:
        _kicked_off(peer, clock=clock)
        return
    answer = client.ask(peer, "GET", peer.export_url, clock=clock, headers={"Accept": "application/json"})
    if answer.status == 202:
        return
    if answer.status != 200:
        Peer.objects.filter(pk=peer.pk).update(export_url="", export_taken=[])  # gone there: begin anew
        raise Failed(f"export-{answer.status}", passes=True)
    _taken(peer, _json(answer.body), clock=clock)


def _kicked_off(peer: Peer, *, clock: Clock) -> None:
    asked = [("_type", ",".join(peer.types)), ("_outputFormat", "application/fhir+ndjson")]
    if peer.export_since is not None:
        since = peer.export_since - pulling.OVERLAP
        asked.append(("_since", since.isoformat(timespec="milliseconds")))
    url = f"{peer.base}/{peer.bulk}/$export?{urlencode(asked, quote_via=quote)}"
    answer = client.ask(peer, "GET", url, clock=clock, headers={"Prefer": "respond-async"})
    place = answer.headers.get("content-location", "")
    if answer.status != 202 or not place or len(place) > 500:
        raise Failed(f"export-{answer.status}", passes=False)
    if pulling.origin_of(place) not in peer.origins:
        raise Failed("other-host", passes=False)
    Peer.objects.filter(pk=peer.pk).update(export_url=place, export_taken=[])


def _taken(peer: Peer, manifest: Mapping[str, Any], *, clock: Clock) -> None:
    """Every file of an export; the mark moves on, and the export is deleted there, when all of it was taken."""
    began = parse.instant(str(manifest.get("transactionTime", "")))
    if began is None:
        raise Failed("export-unusable", passes=False)
    linked = {one.patient: one for one in registry.persons(peer)}
    for type, url in _left(peer, "output", _files(peer, manifest, "output")):
        _file(peer, linked, type, url, clock=clock)
    for _, url in _left(peer, "deleted", _files(peer, manifest, "deleted")):
        _deletions(peer, linked, url, clock=clock)
    since = min(began, clock())
    Peer.objects.filter(pk=peer.pk).update(export_url="", export_taken=[], export_since=since)
    client.ask(peer, "DELETE", peer.export_url, clock=clock)


def _left(peer: Peer, name: str, files: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What was not taken in an earlier turn; one is marked as taken when the next is asked for."""
    for type, url in files:
        digest = blake2b(f"{name} {type} {url}".encode(), digest_size=16).hexdigest()
        if digest not in peer.export_taken:
            yield type, url
            peer.export_taken.append(digest)
            Peer.objects.filter(pk=peer.pk, claim=peer.claim).update(export_taken=peer.export_taken)


def _files(peer: Peer, manifest: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    told = manifest.get(name, [])
    if not isinstance(told, list) or len(told) > MOST_FILES:
        raise Failed("export-unusable", passes=False)
    found = []
    for one in told:
        type, url = (one.get("type"), one.get("url")) if isinstance(one, dict) else (None, None)
        if not isinstance(type, str) or not isinstance(url, str):
            raise Failed("export-unusable", passes=False)
        if pulling.origin_of(url) not in peer.origins:
            raise Failed("other-host", passes=False)
        if type in peer.types or name == "deleted":
            found.append((type, url))
    return found


def _file(peer: Peer, linked: Mapping[str, Linked], type: str, url: str, *, clock: Clock) -> None:
    registry.beat(peer, now=clock())
    lines = _lines(peer, url, clock=clock)
    while part := list(islice(lines, pulling.COUNT)):
        registry.beat(peer, now=clock())
        sorted_out: dict[str, list[Resource]] = {}
        for resource in part:
            whose = _patient_of(resource, peer.base)
            if whose in linked:
                sorted_out.setdefault(whose, []).append(resource)
        for whose, found in sorted_out.items():
            try:
                storing.take(peer, linked[whose], type, found, clock=clock)
            except Ended:
                continue


def _deletions(peer: Peer, linked: Mapping[str, Linked], url: str, *, clock: Clock) -> None:
    """Bundles of type transaction with DELETE entries."""
    whose = {one.person.pk: one for one in linked.values()}
    for bundle in _lines(peer, url, clock=clock):
        for name in parse.deletions(bundle):
            for row in PeerKnown.objects.filter(person__in=whose, type=name[0], theirs=name[1], gone=False):
                try:
                    storing.gone(peer, whose[row.person_id], row.type, row.theirs, clock=clock)
                except Ended:
                    continue


def _patient_of(resource: Resource, base: str) -> str:
    """The peer's Patient a resource says it is about; "" where it says none."""
    for name in ("subject", "patient"):
        told = resource.get(name)
        reference = told.get("reference") if isinstance(told, dict) else None
        if isinstance(reference, str):
            kind, _, id = reference.removeprefix(f"{base}/").partition("/")
            return id.partition("/")[0] if kind == "Patient" else ""
    return ""


class _Beating:
    """A file a download is written to, which says now and then that we still live. Raises Failed while written."""

    def __init__(self, file: IO[bytes], peer: Peer, clock: Clock) -> None:
        self._file, self._peer, self._clock, self._last = file, peer, clock, clock()

    def write(self, piece: bytes) -> int:
        now = self._clock()
        if now - self._last >= BEAT:
            registry.beat(self._peer, now=now)
            self._last = now
        return self._file.write(piece)


def _lines(peer: Peer, url: str, *, clock: Clock) -> Iterator[Resource]:
    """The resources of one file, kept on disk only while they are read. Raises Failed for a line that is none."""
    with tempfile.TemporaryFile() as file:
        beating = cast("IO[bytes]", _Beating(file, peer, clock))
        answer = client.ask(peer, "GET", url, clock=clock, headers={"Accept": "application/fhir+ndjson"},
                            most=MOST_BYTES, seconds=SECONDS, into=beating)  # fmt: skip
        if answer.status != 200:
            raise Failed(f"export-{answer.status}", passes=True)
        file.seek(0)
        yield from _parsed(file)


def _parsed(file: IO[bytes]) -> Iterator[Resource]:
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise Failed("too-large", passes=False)
        if line.strip():
            yield _json(line)


def _json(text: bytes) -> Resource:
    try:
        return parse.json(text)
    except Unusable as error:
        raise Failed(str(error), passes=False) from None
