"""A destroyed key stays destroyed, whoever would seal something by it (IT-14)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils import timezone

from consent import glass, keys
from consent.models import DataKey, EmergencyAccess, Subject
from consent.refusal import Absent
from phr.populate.cast import HANA, YUKI
from phr.populate.store import for_organization
from phr.records import shredding, store
from phr.records.gateway import Records
from phr.smart import leaving
from phr.trust import erasing
from tests.family import Neighbourhood, weight
from tests.trust.test_emergency import TEXT, hospital, staff
from tests.trust.test_erasure import about, erase


def key_put_back() -> None:
    """What a restored backup of the keys may bring."""
    kek = keys.keyring().current
    wrapped = keys.wrap(AESGCM.generate_key(256), subject=YUKI, version=1, kek=kek)
    DataKey.objects.create(subject_id=YUKI, version=1, kek=kek, wrapped=wrapped)


@pytest.mark.IT("14")
def test_a_destroyed_key_is_never_made_again(family: Neighbourhood) -> None:
    erase(family, family.mother, YUKI)
    with pytest.raises(keys.Erased):
        keys.keys_for([YUKI])
    with pytest.raises(keys.Erased):
        keys.keys_for([YUKI, HANA])
    assert about(YUKI)["keys"] == 0
    key_put_back()
    assert shredding.left_over() == [YUKI]
    erasing.run_due(now=timezone.now(), forget=leaving.forget)
    assert (about(YUKI)["keys"], shredding.left_over()) == (0, [])


@pytest.mark.IT("14")
def test_a_write_that_was_under_way_goes_too(family: Neighbourhood) -> None:
    """It was decided before, and stored after: the sweep takes it away."""
    erase(family, family.mother, YUKI)
    records = Records.opened_by(for_organization(family.demo.clinic.pk), now=timezone.now())
    late = [records._draft(weight(), id="late", version=1, author=family.demo.clinic.pk)]
    with pytest.raises(keys.Erased):
        store.insert(late, now=timezone.now())
    key_put_back()
    store.insert(late, now=timezone.now())
    assert (about(YUKI)["resources"], about(YUKI)["keys"]) == (1, 1)
    erasing.run_due(now=timezone.now(), forget=leaving.forget)
    assert (about(YUKI)["resources"], about(YUKI)["keys"]) == (0, 0)


@pytest.mark.IT("14")
def test_an_erasure_that_ends_meanwhile_is_seen(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record was active when it was looked at first: no key of hers is made again."""
    person, _ = staff(hospital())

    def erased_now(*_: object) -> bool:
        Subject.objects.filter(pk=YUKI).update(state="erased")
        DataKey.objects.filter(subject=YUKI).delete()
        return False

    monkeypatch.setattr("consent.in_force.is_kin", erased_now)
    with pytest.raises(Absent):
        glass.break_glass(
            subject=YUKI, purpose="BTG", why=glass.Why("unconscious", TEXT), lasts=timedelta(minutes=30), by=person,
            now=timezone.now(),
        )  # fmt: skip
    assert not DataKey.objects.filter(subject=YUKI).exists()
    assert not EmergencyAccess.objects.filter(subject=YUKI).exists()
