"""Moving to another trust on instruction (IT-23): data and live conditions go as one signed package, and from that
commit on this trust stops. A receipt the other signs proves that it arrived whole.

    instruction  -> asked    the person's, both guardians' for a child (G-14)
    package      -> packed   signed with the key that signs the log's heads; the record is locked here
    receipt      -> confirmed  the other trust's signature over the SHA-256 of the manifest

The signature stands in the manifest, over everything else in it: `signature` = Ed25519 of its canonical JSON.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import transaction
from django.db.models import F

from consent import audit, guardianship, joint
from consent.asking import Capacity
from consent.audit import Event
from consent.decide import consenting
from consent.in_force import in_force_between
from consent.models import JointAct, Person, Subject, Transfer
from consent.notices import Kind, family_of, tell
from consent.refusal import Absent, Because, Refusal
from phr.records import body, disclosing
from phr.trust import porting, receiving
from phr.trust.acting import caller_for
from phr.trust.packing import MANIFEST

State = Transfer.State
OPEN = (State.ASKED, State.PACKED)
Told = dict[str, Any]


@transaction.atomic
def ask(*, subject: Subject, by: Person, to: str, now: datetime) -> Transfer | JointAct:
    """Instruct this trust to move a record to another. A child's waits for the other guardian: then ask once more.

    Raises Absent: not hers; Refusal: no https address, asked already.
    """
    parts = urlsplit(to)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or len(to) > 200:
        raise Refusal("移転先は https の URL です / the other trust's https address, please", place="to")
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    capacity = guardianship.standing(by, current, now)
    if capacity is None:
        raise Absent
    if Transfer.objects.filter(subject=current, state__in=OPEN).exists():
        raise Refusal("すでに申し出があります / it was asked for already", because=Because.CONFLICT)
    act = joint.ask(kind=joint.Kind.TRANSFER, subject=current, by=by, now=now, detail={"outcome": to})
    if act.state != JointAct.State.AGREED:
        return act
    joint.use(act=act, now=now)
    made = Transfer.objects.create(
        subject=current, asked_by=by, capacity=capacity.value, joint_act=act, to=to, state=State.ASKED, asked_at=now
    )
    _say(Event.TRANSFER_ASKED, made, by, now)
    tell(Kind.TRANSFER_ASKED, to=family_of(current, now=now), subject=current.pk, now=now)
    return made


@transaction.atomic
def cancel(*, subject: Subject, by: Person, now: datetime) -> Transfer:
    """Stay after all, as long as nothing was handed over; either guardian may, alone. Raises Absent."""
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    found = Transfer.objects.filter(subject=current, state=State.ASKED).first()
    if found is None or guardianship.standing(by, current, now) is None:
        raise Absent
    found.state = State.CANCELLED
    found.save(update_fields=["state"])
    _say(Event.TRANSFER_CANCELLED, found, by, now)
    return found


@transaction.atomic
def pack(
    transfer: Transfer, *, into: BinaryIO, by: str, key: Ed25519PrivateKey, clock: Callable[[], datetime]
) -> Transfer:
    """Write the signed package and lock the record, in one transaction: should either fail, nothing has happened.

    `by`: our own address. Raises Refusal: not asked for, who asked is entitled no more, or something of the record is
    kept from her and would stay behind, locked and unseen.
    """
    subject = Subject.objects.select_for_update().get(pk=transfer.subject_id)
    current = Transfer.objects.select_for_update(of=("self",)).select_related("asked_by").get(pk=transfer.pk)
    now = clock()
    in_force = in_force_between(current.asked_by_id, subject.pk, now=now)
    if current.state != State.ASKED or consenting(in_force, now) != current.capacity:
        raise Refusal("移転の指示がありません / there is no such instruction", because=Because.CONFLICT)
    head = {"transfer": {"id": str(current.pk), "from": by, "to": current.to}}
    manifest = _write(current, subject, into, head, key, clock)
    current.state, current.packed_at, current.manifest = State.PACKED, now, manifest
    current.save(update_fields=["state", "packed_at", "manifest"])
    family = family_of(subject, now=now)
    Subject.objects.filter(pk=subject.pk).update(state=Subject.State.LOCKED, consent_epoch=F("consent_epoch") + 1)
    _say(Event.RECORD_MOVED_OUT, current, current.asked_by, now, digest=receiving.digest_of(manifest))
    audit.record(Event.SUBJECT_LOCKED, by=None, subject=subject.pk, now=now, detail={"transfer": str(current.pk)})
    tell(Kind.RECORD_MOVED_OUT, to=family, subject=None, now=now, detail={"transfer": str(current.pk)})
    return current


@transaction.atomic
def confirm(*, receipt: Told, public_key: str, now: datetime) -> Transfer:
    """Keep the other trust's receipt. Raises Absent: for no package of ours; Refusal: not its signature, or of another
    package."""
    if not _holds(receipt, public_key):
        raise Refusal("署名が正しくありません / the signature does not hold", place="signature")
    found = Transfer.objects.select_for_update().filter(pk=_transfer_of(receipt), state=State.PACKED).first()
    if found is None:
        raise Absent
    if receipt.get("digest") != receiving.digest_kept(found.manifest):
        raise Refusal("別のパッケージの受領書です / a receipt for another package", place="digest")
    found.state, found.receipt, found.confirmed_at = State.CONFIRMED, receipt, now
    found.save(update_fields=["state", "receipt", "confirmed_at"])
    _say(Event.TRANSFER_CONFIRMED, found, None, now)
    return found


def receipt(manifest: Told, *, by: str, key: Ed25519PrivateKey, now: datetime) -> Told:
    """What the receiving trust signs: which package, all of it."""
    told = {
        "transfer": manifest.get("transfer"), "digest": receiving.digest_of(manifest), "by": by,
        "received_at": now.isoformat(timespec="seconds"),
    }  # fmt: skip
    return signed(told, key)


def signed(told: Told, key: Ed25519PrivateKey) -> Told:
    return {**told, "signature": key.sign(body.canonical(told)).hex()}


def require_signed(package: Path, *, public_key: str) -> None:
    """The manifest is signed by the trust it comes from. Raises receiving.Damaged, Refusal."""
    manifest = receiving.opened(package)
    if not _holds(manifest, public_key):
        raise Refusal("署名が正しくありません / the signature does not hold", place="signature")


def _holds(told: Told, public_key: str) -> bool:
    rest = {key: value for key, value in told.items() if key != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(told["signature"]), body.canonical(rest))
    except (ValueError, KeyError, TypeError, InvalidSignature):
        return False
    return True


def _transfer_of(receipt: Told) -> str:
    about = receipt.get("transfer")
    id = about.get("id") if isinstance(about, dict) else None
    return id if isinstance(id, str) and len(id) == 36 else "00000000-0000-0000-0000-000000000000"


def _write(
    transfer: Transfer, subject: Subject, into: BinaryIO, head: Told, key: Ed25519PrivateKey,
    clock: Callable[[], datetime],
) -> Told:  # fmt: skip
    caller = caller_for(transfer.asked_by, subject.pk, Capacity(transfer.capacity), client="transfer")
    parts: Iterator[bytes] = porting.export(
        subject, capacity=Capacity(transfer.capacity), caller=caller, clock=clock, head=head,
        sign=lambda manifest: signed(manifest, key),
    )  # fmt: skip
    into.writelines(parts)
    into.flush()
    into.seek(0)
    with zipfile.ZipFile(into) as package:
        manifest = dict(json.loads(package.read(MANIFEST)))
        with package.open("fhir.ndjson") as lines:
            packed = {(told["resourceType"], told["id"]) for told in map(json.loads, lines)}
    if disclosing.alone_about(subject.pk, but=porting.PROJECTIONS) - packed:
        into.seek(0)
        into.truncate()
        raise Refusal("本人に見せていない記録が残るため、移転できません。職員が先に扱いを決めます"
                      " / something kept from who asked would stay behind: staff must settle it first",
                      because=Because.CONFLICT)  # fmt: skip
    return manifest


def _say(event: Event, transfer: Transfer, by: Person | None, now: datetime, **more: str) -> None:
    detail: audit.Detail = {"transfer": str(transfer.pk), "state": transfer.state, **more}
    audit.record(event, by=by, subject=transfer.subject_id, now=now, detail=detail)
