"""A line of the log is proved by means of the reader's own: SHA-256, Ed25519, and nothing of this program."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import connection
from django.utils import timezone

from consent import audit, keys, payload, sealing
from consent.audit import Event
from consent.models import AuditEntry
from consent.signing import signing_key
from phr.populate.cast import HANA, YUKI
from tests.family import Neighbourhood, pressure
from tests.sealing import seal_all
from tests.trust.test_log import lines


def spelled(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def check(proof: dict[str, Any], public_key: bytes) -> dict[str, Any]:
    """As decisions/how-a-line-is-proved.md tells a stranger to do it. Returns the fields that are proved."""
    told = {}
    for name, opening in proof["openings"].items():
        salted = bytes.fromhex(opening["salt"]) + spelled(opening["value"])
        assert hashlib.sha256(salted).hexdigest() == proof["commitments"][name], name
        told[name] = opening["value"]
    found = hashlib.sha256(b"\x00" + spelled(proof["commitments"])).digest()
    assert found.hex() == proof["leaf"]
    place, last = proof["place"], proof["head"]["size"] - 1
    for step in map(bytes.fromhex, proof["path"]):
        if place % 2 == 1 or place == last:
            found = hashlib.sha256(b"\x01" + step + found).digest()
            while place % 2 == 0 and place != 0:
                place, last = place // 2, last // 2
        else:
            found = hashlib.sha256(b"\x01" + found + step).digest()
        place, last = place // 2, last // 2
    assert last == 0
    assert found.hex() == proof["head"]["root"]
    Ed25519PublicKey.from_public_bytes(public_key).verify(base64.b64decode(proof["signature"]), spelled(proof["head"]))
    return told


@pytest.mark.django_db(transaction=True)
@pytest.mark.IT("10", "13")
def test_each_line_is_proved_by_an_independent_verifier(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    for _ in range(3):
        family.clinic.get(f"Observation/{made['id']}")
    found = lines(family.mother, event="record:read", role="system")
    path = f"/api/trust/records/{YUKI}/log/{found[0]['id']}/proof"
    assert family.mother.ask("GET", path).status == 409  # not sealed yet
    seal_all()
    public_key = signing_key(settings.PHR_AUDIT_KEY).public_key().public_bytes_raw()
    for line in found:
        proof = family.mother.ask("GET", f"/api/trust/records/{YUKI}/log/{line['id']}/proof").json
        told = check(proof, public_key)
        assert base64.b64decode(proof["public_key"]) == public_key
        assert (told["event"], told["subject"], told["purpose"]) == ("record:read", str(YUKI), "TREAT")
        assert datetime.fromisoformat(told["at"]) == datetime.fromisoformat(line["at"])
        assert "id" not in told  # the number of the line would tell how many others there are
        assert told["organization"] == family.demo.clinic.pk
        assert "detail" not in told
    proof["commitments"]["event"] = proof["commitments"]["at"]
    with pytest.raises(AssertionError):
        check(proof, public_key)


@pytest.mark.django_db(transaction=True)
def test_a_proof_of_another_key_does_not_hold(family: Neighbourhood) -> None:
    family.mother.get(f"Patient/{YUKI}")
    [line, *_] = lines(family.mother, event="record:read")
    seal_all()
    proof = family.mother.ask("GET", f"/api/trust/records/{YUKI}/log/{line['id']}/proof").json
    with pytest.raises(InvalidSignature):
        check(proof, b"\x01" * 32)


@pytest.mark.django_db(transaction=True)
@pytest.mark.G("05")
def test_a_proof_opens_no_more_than_the_line_shows(family: Neighbourhood) -> None:
    by = family.demo.people["yuki"]
    audit.record(Event.GRANT_GIVEN, by=by, subject=HANA, now=timezone.now(), detail={"grant": 1})
    seal_all()
    [line] = [x for x in lines(family.father, HANA, event="grant:given") if x["role"] == "guardian"]
    proof = family.father.ask("GET", f"/api/trust/records/{HANA}/log/{line['id']}/proof").json
    assert set(proof["openings"]) == {"at", "event", "subject", "purpose"}
    check(proof, base64.b64decode(proof["public_key"]))


@pytest.mark.django_db(transaction=True)
@pytest.mark.IT("14")
def test_shredding_a_person_leaves_the_tree_whole_and_the_details_unreadable(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    family.clinic.get(f"Observation/{made['id']}")
    seal_all()
    entries = AuditEntry.objects.filter(subject=YUKI)
    assert all(told is not None for told in audit.opened(entries))
    assert made["id"].encode() not in b"".join(bytes(e.detail) for e in entries)  # never in clear
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM consent_datakey WHERE subject_id = %s", [YUKI])
        cursor.execute("UPDATE consent_subject SET state = 'erased' WHERE id = %s", [YUKI])
    entries = AuditEntry.objects.filter(subject=YUKI)
    assert all(told is None for told in audit.opened(entries))
    key = signing_key(settings.PHR_AUDIT_KEY)
    assert sealing.verify(public_key=key.public_key()) == []
    # Later lines about her are kept too, without a key of hers coming back.
    audit.record(
        Event.RECORD_REFUSED, by=None, subject=YUKI, now=timezone.now(), detail={"because": "L1.subject-erased"}
    )
    assert keys.all_keys(YUKI) == {}
    assert audit.opened([AuditEntry.objects.filter(subject=YUKI).latest("id")]) == [{"because": "L1.subject-erased"}]
    seal_all()
    assert sealing.verify(public_key=key.public_key()) == []


@pytest.mark.django_db
def test_a_detail_opens_at_its_own_line_only(family: Neighbourhood) -> None:
    now = timezone.now()
    for subject in (YUKI, HANA, YUKI):
        audit.record(Event.RECORD_READ, by=None, subject=subject, now=now, detail={"type": "Observation", "id": "a"})
    mine, hers, again = AuditEntry.objects.order_by("-pk")[:3]
    rows = [
        (mine.subject, mine.key_version, bytes(again.salt), bytes(mine.detail)),
        (mine.subject, mine.key_version, bytes(mine.salt), bytes(again.detail)),
        (mine.subject, hers.key_version, bytes(hers.salt), bytes(hers.detail)),
        (mine.subject, mine.key_version + 1, bytes(mine.salt), bytes(mine.detail)),
        (mine.subject, mine.key_version, bytes(mine.salt), b"\x00" + bytes(mine.detail)[1:]),
        (mine.subject, mine.key_version, bytes(mine.salt), b""),
    ]
    assert payload.opened(rows) == [None] * 6
