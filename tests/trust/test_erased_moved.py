"""What moved out is erased in the end, and no birth date stays in what is kept (IT-14, IT-23)."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.utils import timezone

from consent import erasures
from consent.models import Erasure, Guardianship, LegalHold, Person, Subject, Transfer
from phr.populate.cast import HANA, YUKI
from phr.smart import leaving
from phr.trust import erasing, receiving, transferring
from tests.family import Neighbourhood, pressure
from tests.trust.test_erasure import about, post


@pytest.mark.IT("14")
@pytest.mark.IT("23")
def test_a_record_that_moved_out_goes_in_the_end(family: Neighbourhood, tmp_path: Path) -> None:
    """Nobody can ask for it here any more: it goes a while after the other trust has signed, unless a hold keeps it."""
    family.mother.made(pressure())
    born = Subject.objects.get(pk=YUKI).birth_on
    assert born is not None
    told = post(family.mother, f"records/{YUKI}/transfers/ask", {"to": "https://other.example"})
    waiting = post(family.mother, f"records/{YUKI}/erasure/ask")
    assert (told.status, waiting.status) == (202, 202), waiting
    call_command("transfer_record", pack=told.json["id"], to=tmp_path / "moving.zip")
    digest = receiving.digest_of(Transfer.objects.get().manifest or {})
    much_later = timezone.now() + timedelta(days=400)
    assert erasing.run_due(now=much_later, forget=leaving.forget) == 0  # the other trust has not signed
    assert (about(YUKI)["keys"], Erasure.objects.get().state) == (1, "waiting")

    other, now = Ed25519PrivateKey.generate(), timezone.now()
    manifest = receiving.opened(tmp_path / "moving.zip")
    signed = transferring.receipt(manifest, by="https://other.example", key=other, now=now)
    transferring.confirm(receipt=signed, public_key=other.public_key().public_bytes_raw().hex(), now=now)
    assert erasing.run_due(now=now + erasures.MOVED_OUT_KEPT - timedelta(hours=1), forget=leaving.forget) == 0
    hold = LegalHold.objects.create(
        subject_id=YUKI, kind="litigation", reason="訴訟", organization=family.demo.clinic,
        placed_by=Person.objects.exclude(organization=None)[0], placed_at=now,
    )  # fmt: skip
    later = now + erasures.MOVED_OUT_KEPT + timedelta(hours=1)
    assert erasing.run_due(now=later, forget=leaving.forget) == 0
    hold.delete()
    assert erasing.run_due(now=later, forget=leaving.forget) == 1
    assert set(about(YUKI).values()) == {0}
    assert Subject.objects.get(pk=YUKI).state == "erased"
    kept = Transfer.objects.get()
    assert born.isoformat() not in json.dumps([kept.manifest, kept.receipt])
    assert receiving.digest_kept(kept.manifest) == digest == (kept.receipt or {})["digest"]
    assert erasing.run_due(now=later, forget=leaving.forget) == 0


@pytest.mark.IT("14")
def test_a_link_tells_no_birth_date_after_erasure(family: Neighbourhood) -> None:
    """It began on the day of birth, and ended on the day of adulthood."""
    born = date(2008, 4, 20)
    Subject.objects.filter(pk=HANA).update(birth_on=born)
    Guardianship.objects.filter(subject=HANA).update(starts_on=born, ends_on=date(2026, 4, 20), state="ended")
    assert erasing.again(HANA, now=timezone.now(), forget=leaving.forget)
    links = Guardianship.objects.filter(subject=HANA).values_list("starts_on", "ends_on")
    assert links and set(links) == {(date(2008, 1, 1), date(2026, 12, 31))}
