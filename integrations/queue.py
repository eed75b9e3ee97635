"""Items about people nobody has linked yet: sealed, until somebody of the sender's decides, or they are let go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from django.db.models import Q

from consent import notices
from consent.keys import Key
from integrations import known
from integrations.items import Identity, Item
from integrations.models import ImportRun, LocalNumber, Unlinked, WaitingItem
from integrations.resolving import digest_of
from phr.records import vault
from phr.records.authority import as_json

if TYPE_CHECKING:
    from integrations.storing import Source

State = Unlinked.State


def park(
    source: Source, items: Sequence[Item], asking: Iterable[Identity], shut: Mapping[bytes, int], *, now: datetime
) -> set[bytes]:
    """Keep them for their persons; of each the newest. Returns the numbers (digests) that were dismissed.

    `asking`: of whom a line, kept or not, says that her place is not to be told: that waits, too. `shut`: numbers
    (digests) of locked records, and their links: what is about these waits behind the link, and is nobody's to decide.
    """
    hidden = {digest_of(identity.system, identity.value): identity for identity in asking}
    wanted = hidden | {digest_of(i.identity.system, i.identity.value): i.identity for i in items}
    if not wanted:
        return set()
    cases = _cases(source, wanted, shut)
    dismissed = {digest for digest, case in cases.items() if case.state == Unlinked.State.DISMISSED}
    [key] = vault.keys_for([None]).values()
    new = [
        Unlinked(
            organization=source.organization, system=identity.system[:200], digest=digest, since=now,
            number_id=shut.get(digest), state=State.LINKED if digest in shut else State.WAITING,
            key_version=key.version, sealed=b"" if digest in shut
            else _sealed(msgspec.json.encode(identity), _case_place(source.organization.pk, digest), key),
        )
        for digest, identity in sorted(wanted.items()) if digest not in cases
    ]  # fmt: skip
    if new:
        Unlinked.objects.bulk_create(new, ignore_conflicts=True)
        cases = _cases(source, wanted, shut)
    _protect(source, [case for digest, case in cases.items() if digest in hidden and not case.not_disclosed], now=now)
    waiting = [(cases[d], i) for i in items if (d := digest_of(i.identity.system, i.identity.value)) not in dismissed]
    _renew(waiting, key=key, now=now)
    _keep(source, waiting, key=key, now=now)
    return dismissed


def _renew(waiting: Sequence[tuple[Unlinked, Item]], *, key: Key, now: datetime) -> None:
    """A case shows whom the newest of its Items names: what was corrected since is what the desk goes by."""
    newest: dict[int, tuple[Unlinked, Item]] = {}
    for case, item in waiting:
        if case.pk not in newest or known.said(newest[case.pk][1], now=now) <= known.said(item, now=now):
            newest[case.pk] = case, item
    for pk, (case, item) in sorted(newest.items()):
        if case.state != State.WAITING or identity_of(case) == item.identity:
            continue
        told = (opened(one) for one in WaitingItem.objects.filter(case=case))
        if any(known.said(one, now=now) > known.said(item, now=now) for one in told):
            continue
        sealed = _sealed(msgspec.json.encode(item.identity), _case_place(case.organization_id, bytes(case.digest)), key)
        Unlinked.objects.filter(pk=pk, state=State.WAITING).update(sealed=sealed, key_version=key.version)


def _protect(source: Source, cases: Sequence[Unlinked], *, now: datetime) -> None:
    """Hide them with the link that will be. Where there was one and it ended, the desk is told at once."""
    if not cases:
        return
    Unlinked.objects.filter(pk__in=[case.pk for case in cases]).update(not_disclosed=True)
    ended = LocalNumber.objects.filter(
        organization=source.organization, digest__in=[case.digest for case in cases], until__isnull=False
    )
    known_once = {bytes(digest) for digest in ended.values_list("digest", flat=True)}
    for case in cases:
        if bytes(case.digest) in known_once:
            kind = notices.Kind.NUMBER_PROTECTED
            notices.tell_organization(kind, to=source.organization, subject=None, now=now, detail={"case": case.pk})


def protected(source: Source, digests: Iterable[bytes]) -> list[bytes]:
    """Of which of these linked numbers (digests) a line said, while it waited or after somebody dismissed it, that her
    place is not to be told. What was dismissed is heard once: the desk may show the place again."""
    rows = Unlinked.objects.filter(
        organization=source.organization, digest__in=list(digests), not_disclosed=True
    ).exclude(state=State.LINKED)
    found = [bytes(digest) for digest in rows.values_list("digest", flat=True)]
    if found:
        rows.filter(state=State.DISMISSED).update(state=State.LINKED)
    return found


def _cases(source: Source, digests: Iterable[bytes], shut: Mapping[bytes, int]) -> dict[bytes, Unlinked]:
    """The case of each number: the one that waits, else the one that was dismissed; of a locked record, the one behind
    its link."""
    asked = set(digests)
    undecided = Q(digest__in=list(asked - shut.keys()), state__in=[State.WAITING, State.DISMISSED])
    behind = Q(digest__in=list(asked & shut.keys()), state=State.LINKED, number__in=list(shut.values()))
    rows = Unlinked.objects.filter(undecided | behind, organization=source.organization).order_by("state", "pk")
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
