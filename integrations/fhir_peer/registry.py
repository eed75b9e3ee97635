"""Peers and who is linked there: registered once, paused, removed; deeds of an operator and of the linking."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from consent import audit, outside
from consent.audit import Event
from consent.decide import Caller, Capacity
from consent.models import Organization, Person, Subject
from consent.scope import ALL_CATEGORIES, Category, Door
from integrations.fhir_peer import client, keys, mapping
from integrations.models import LocalNumber, Peer, PeerPerson
from phr.records import changes, vault

log = logging.getLogger(__name__)

State = Peer.State
FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=6)  # of the pauses after failures
TURN = timedelta(minutes=30)  # at one peer: then others have their turn, and this one goes on at its next
OUT_OF_TIME = "out-of-time"
DEFAULT_TYPES = (
    "AllergyIntolerance", "CarePlan", "Condition", "DiagnosticReport", "DocumentReference", "Encounter",
    "Immunization", "MedicationDispense", "MedicationRequest", "MedicationStatement", "Observation", "Procedure",
)  # fmt: skip


class Unfit(Exception):
    """This cannot be registered; the text says why, in two languages."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A living person who is linked at a peer. `patient`: her id there."""

    person: PeerPerson
    subject: UUID
    patient: str
    epoch: int


@transaction.atomic
def add(*, code: str, name: str, base: str, client_id: str, organization: Organization, found: client.Configured,
        origins: Collection[str], algorithm: str, types: Collection[str], categories: Collection[str], purpose: str,
        pulls: bool, pushes: bool, bulk: str, now: datetime, launch_client: str = "") -> Peer:  # fmt: skip
    """Register a peer, with a key of its own. Raises Unfit."""
    if unknown := sorted(set(types) - mapping.TYPES):
        raise Unfit(f"扱えない型です / types that cannot be kept in step: {', '.join(unknown)}")
    if strange := sorted(set(categories) - set(Category.__members__)):
        raise Unfit(f"知らない区分です / unknown categories: {', '.join(strange)}")
    if Peer.objects.filter(code=code).exists() or Peer.objects.filter(base=base).exists():
        raise Unfit("登録済みです / this code or address is registered already")
    mask = sum(Category[name] for name in set(categories)) or ALL_CATEGORIES
    peer = Peer(
        code=code, name=name, organization=organization, base=base, origins=sorted(origins), token_url=found.token_url,
        client=client_id, purpose=purpose, types=sorted(types), categories=int(mask), pulls=pulls, pushes=pushes,
        bulk=bulk, launch_client=launch_client, next_at=now, created_at=now,
    )  # fmt: skip
    mark = changes.end()  # what is there comes with each link
    peer.xid, peer.change = mark.xid, mark.id
    keys.fresh(peer, algorithm)
    peer.save()
    _told(peer, "added", now=now)
    return peer


@transaction.atomic
def change(peer: Peer, state: str, *, now: datetime) -> None:
    """Pause, resume or remove it. Removed, its key is destroyed and its links end; what came from it stays."""
    held = Peer.objects.select_for_update().get(pk=peer.pk)
    if held.state == State.ENDED:
        raise Unfit("登録は終わっています / it was removed")
    held.state, held.failures, held.problem, held.next_at, held.claim = state, 0, "", now, None
    if state == State.ENDED:
        held.sealed = b""
        numbers(held).update(until=now)
    held.save()
    client.forget_token(held)
    _told(held, state, now=now)


def numbers(peer: Peer):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """The links that stand at a peer."""
    return LocalNumber.objects.filter(organization=peer.organization, system=system(peer.base), until=None)


def system(base: str) -> str:
    """Of the Patient ids of a peer, as local numbers."""
    return f"{base}/Patient"


def persons(peer: Peer) -> Iterator[Linked]:
    """Who is linked at a peer now, one by one: each link is looked at when its turn comes.

    They begin with anybody, so that a turn that ends early leaves nobody out for good.
    """
    found = list(numbers(peer).order_by("pk").values_list("pk", flat=True))
    first = random.randrange(len(found)) if found else 0  # noqa: S311 - no secret
    for number in found[first:] + found[:first]:
        if linked := person(peer, number):
            yield linked


def person(peer: Peer, number: int) -> Linked | None:
    """One linked person; None where the link has ended, or her record is not open."""
    found = numbers(peer).filter(pk=number, subject__state=Subject.State.ACTIVE).select_related("subject").first()
    if found is None:
        return None
    row, _ = PeerPerson.objects.get_or_create(peer=peer, number=found)
    return Linked(row, found.subject_id, opened(found), found.subject.consent_epoch)


def beat(peer: Peer, *, now: datetime) -> None:
    """Say that the worker that holds it still lives.

    Raises client.Failed: another one has taken it over, or the turn has lasted long enough (`OUT_OF_TIME`).
    """
    if peer.claimed_at is not None and now - peer.claimed_at > TURN:
        raise client.Failed(OUT_OF_TIME, passes=True)
    if not Peer.objects.filter(pk=peer.pk, claim=peer.claim, state=State.ACTIVE).update(claimed_at=now):
        raise client.Failed("overtaken", passes=True)


def opened(number: LocalNumber) -> str:
    """The number itself. Raises CannotOpen."""
    key = vault.all_keys(number.subject_id).get(number.key_version)
    place = f"number|{bytes(number.digest).hex()}"
    told = vault.unseal(
        bytes(number.sealed), place=place, subjects=(number.subject_id,), keys=(key,), version=number.key_version
    )
    return told.decode()


def caller(peer: Peer, letters: str) -> Caller:
    """The peer's organisation, as it reads or deposits here."""
    doors = (Door("*", letters),) if "c" in letters else tuple(Door(type, letters) for type in peer.types)
    return Caller(
        client=f"peer:{peer.code}", capacity=Capacity.SYSTEM, purpose=peer.purpose, doors=doors,
        organization=peer.organization_id,
    )  # fmt: skip


def there(peer: Peer, linked: Linked, sent: dict[str, str]) -> mapping.There:
    """What mapping must know."""
    return mapping.There(peer.base, linked.patient, linked.subject, frozenset(peer.types), sent, own_base())


def own_base() -> str:
    return f"{settings.PHR_BASE_URL}/fhir"


def jwks_url() -> str:
    """Where peers find our public keys."""
    return f"{settings.PHR_BASE_URL}/api/peers/jwks"


def pause(failures: int, *, after: int | None, share: float) -> timedelta:
    """How long to wait after so many failures in a row: doubling, up to LONGEST, of which half is left to chance.

    `after`: what the peer asks for, which is kept; `share`: 0 to 1, drawn anew each time.
    """
    whole = min(FIRST * 2 ** min(max(failures - 1, 0), 16), LONGEST)
    return max(whole * (0.5 + share / 2), timedelta(seconds=after or 0))


def origins_of(base: str, more: Collection[str]) -> list[str]:
    """The origins that may be called. Raises Unfit for what is no https address."""
    try:
        return sorted({outside.origin(base), *map(outside.origin, more)})
    except outside.NotFetched as error:
        raise Unfit(f"使えない住所です / {error.text}") from None


def _told(peer: Peer, state: str, *, now: datetime, by: Person | None = None) -> None:
    detail: audit.Detail = {"client": peer.code, "state": state, "organization": peer.organization_id}
    audit.record(Event.PEER_CHANGED, by=by, now=now, detail=detail)
