"""Items about people nobody has linked yet: sealed, until somebody of the sender's decides, or they are let go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from consent.keys import Key
from integrations import known
from integrations.items import Identity, Item
from integrations.models import ImportRun, Unlinked, WaitingItem
from integrations.resolving import digest_of
from phr.records import vault
from phr.records.authority import as_json

if TYPE_CHECKING:
    from integrations.storing import Source


def park(source: Source, items: Sequence[Item], hidden: set[bytes], *, now: datetime) -> set[bytes]:
    """Keep them for their persons; of each the newest. Returns the numbers (digests) that were dismissed.

    `hidden`: the numbers (digests) of whom a line says that her place is not to be told.
    """
    if not items:
        return set()
    wanted = {digest_of(i.identity.system, i.identity.value): i.identity for i in items}
    cases = _cases(source, wanted)
    dismissed = {digest for digest, case in cases.items() if case.state == Unlinked.State.DISMISSED}
    [key] = vault.keys_for([None]).values()
    new = [
        Unlinked(
            organization=source.organization, system=identity.system[:200], digest=digest, since=now,
            not_disclosed=digest in hidden, key_version=key.version,
            sealed=_sealed(msgspec.json.encode(identity), _case_place(source.organization.pk, digest), key),
        )
        for digest, identity in sorted(wanted.items()) if digest not in cases
    ]  # fmt: skip
    if new:
        Unlinked.objects.bulk_create(new, ignore_conflicts=True)
        cases = _cases(source, wanted)
    told = [case.pk for digest, case in cases.items() if digest in hidden and not case.not_disclosed]
    if told:
        Unlinked.objects.filter(pk__in=told).update(not_disclosed=True)
    waiting = [(cases[d], i) for i in items if (d := digest_of(i.identity.system, i.identity.value)) not in dismissed]
    _keep(source, waiting, key=key, now=now)
    return dismissed


def protected(source: Source, digests: Iterable[bytes]) -> list[bytes]:
    """Of which of these numbers (digests) a line that waits said that her place is not to be told."""
    rows = Unlinked.objects.filter(
        organization=source.organization, digest__in=list(digests), state=Unlinked.State.WAITING, not_disclosed=True
    )
    return [bytes(digest) for digest in rows.values_list("digest", flat=True)]


def _cases(source: Source, digests: Iterable[bytes]) -> dict[bytes, Unlinked]:
    """The case of each number: the one that waits, else the one that was dismissed."""
    rows = Unlinked.objects.filter(
        organization=source.organization, digest__in=list(digests),
        state__in=[Unlinked.State.WAITING, Unlinked.State.DISMISSED],
    ).order_by("state", "pk")  # fmt: skip
    return {bytes(case.digest): case for case in rows}


def _keep(source: Source, waiting: Sequence[tuple[Unlinked, Item]], *, key: Key, now: datetime) -> None:
    rows = {(case.pk, known.digest_of(item.key)): (case, item) for case, item in waiting}
    if not rows:
        return
    older = WaitingItem.objects.filter(
        case__in=[case for case, _ in waiting], kind=source.feed.KIND, digest__in=[digest for _, digest in rows]
    )
    for one in older:
        place = (one.case_id, bytes(one.digest))
        if place in rows and known.said(rows[place][1], now=now) < known.said(opened(one), now=now):
            del rows[place]
    run = source.run = source.run or _kept(source, now=now)
    WaitingItem.objects.bulk_create(
        [
            WaitingItem(
                case=case, run=run, kind=source.feed.KIND, digest=digest, key_version=key.version, since=now,
                sealed=_sealed(msgspec.json.encode(item), _item_place(case.pk, source.feed.KIND, digest), key),
            )
            for (_, digest), (case, item) in sorted(rows.items())
        ],
        update_conflicts=True, unique_fields=["case", "kind", "digest"],
        update_fields=["run", "key_version", "sealed", "since"],
    )  # fmt: skip


def _kept(source: Source, *, now: datetime) -> ImportRun:
    """A run for what came as a message: it says on whose authority its Items go on later."""
    return ImportRun.objects.create(
        kind=source.feed.KIND, profile=source.profile, requested_by_id=source.by.person,
        organization=source.organization, client=source.by.client, authority=as_json(source.by),
        sha256=source.sha256, state=ImportRun.State.DONE, created_at=now, heartbeat_at=now, finished_at=now,
    )  # fmt: skip


def opened(waiting: WaitingItem) -> Item:
    """The Item as it came. Raises vault.CannotOpen."""
    place = _item_place(waiting.case_id, waiting.kind, bytes(waiting.digest))
    return msgspec.json.decode(_opened(bytes(waiting.sealed), place, waiting.key_version), type=Item)


def identity_of(case: Unlinked) -> Identity:
    """Whom the source names. Raises vault.CannotOpen where that was let go."""
    place = _case_place(case.organization_id, bytes(case.digest))
    return msgspec.json.decode(_opened(bytes(case.sealed), place, case.key_version), type=Identity)


def _sealed(text: bytes, place: str, key: Key) -> bytes:
    return vault.seal(text, place=place, subjects=(), keys=(key,))


def _opened(sealed: bytes, place: str, version: int) -> bytes:
    key = vault.all_keys(None).get(version)
    return vault.unseal(sealed, place=place, subjects=(), keys=[key], version=version)


def _case_place(organization: int, digest: bytes) -> str:
    return f"unlinked|{organization}|{digest.hex()}"


def _item_place(case: int, kind: str, digest: bytes) -> str:
    return f"waiting|{case}|{kind}|{digest.hex()}"
