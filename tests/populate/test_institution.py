"""The trust of the demo: a small, true state, made once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from consent import governance, mandates, programs
from consent.models import Mandate, Program, Recipient
from phr.populate import institution
from phr.populate.cast import YUKI
from tests.family import at_home


@pytest.mark.django_db
def test_it_is_made_once_and_stands() -> None:
    family, now = at_home().demo, timezone.now()
    made = institution.found(family, now=now)
    assert institution.found(family, now=now + timedelta(days=1)) == made
    assert (Program.objects.count(), Recipient.objects.count(), Mandate.objects.count()) == (1, 1, 1)
    assert programs.running(now=now) == [made] and governance.faults(now=now) == []
    mandate = Mandate.objects.get(subject=YUKI)
    assert mandates.text_of(mandate.sha256)[2] == institution.TERMS_JA
    assert Recipient.objects.get().organization == family.organizations["9999000009"]
