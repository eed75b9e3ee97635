"""Who may steer a run and link a number, how often a code may be shown, and what an erasure leaves of an original."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from consent import guardianship
from consent.guardianship import FreezeReason
from consent.models import AuditEntry, Guardianship, Subject
from consent.refusal import Absent, Because, Refusal
from consent.scope import Door
from integrations import linking, running, steering, upkeep
from integrations.models import LinkCode, LocalNumber
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.test_linking import desk, only_case
from tests.integrations.feeds.town import HANA, REN, brought, caller

STRANGER = "0777,2018-06-02,female,2019-01-10,L1,,\n"


def test_a_token_that_only_reads_steers_nothing_and_links_nothing(family: People, now: datetime) -> None:
    run = brought(f"0001,{HANA},2019-01-10,L1,,\n", organization=family.city, now=now, dry=True)
    weak = replace(caller(family.city), doors=(Door("Immunization", "rs"), Door("Observation", "c")), client="reader")
    for deed in (steering.proceed, steering.pause, steering.resume, steering.cancel):
        with pytest.raises(Refusal) as refused:
            deed(run=run.pk, by=weak, now=now)
        assert refused.value.because is Because.FORBIDDEN
    run.refresh_from_db()
    assert (run.state, run.dry) == ("reported", True)
    brought(f"0777,{HANA},2019-01-10,L1,,\n0002,{REN},2026-03-20,L,,\n", organization=family.city, now=now)
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    reader = replace(desk(family.sato), doors=(Door("*", "rs"),))
    number = LocalNumber.objects.get(subject=family.ren.pk)
    for attempt in (
        lambda: linking.use_code(system=doses.SYSTEM, value="0555", code=code, by=reader, now=now),
        lambda: linking.link(case=only_case(), subject=family.hana.pk, by=reader, now=now),
        lambda: linking.dismiss(case=only_case(), by=reader, now=now),
        lambda: linking.unlink(number=number.pk, by=reader, now=now),
    ):
        with pytest.raises(Refusal) as refused:
            attempt()
        assert refused.value.because is Because.FORBIDDEN
    assert linking.use_code(system=doses.SYSTEM, value="0555", code=code, by=caller(family.city), now=now)


def test_a_code_that_fits_nobody_is_counted_and_soon_over(family: People, now: datetime) -> None:
    brought(STRANGER, organization=family.city, now=now)
    code, kept = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    for _ in range(linking.MOST_MISFITS):
        assert LinkCode.objects.get(pk=kept.pk).until > now
        with pytest.raises(Refusal, match="birthDate"):
            linking.use_code(system=doses.SYSTEM, value="0777", code=code, by=caller(family.city), now=now)
    assert LinkCode.objects.get(pk=kept.pk).until == now
    with pytest.raises(Absent):
        linking.use_code(system=doses.SYSTEM, value="0555", code=code, by=caller(family.clinic), now=now)
    lines = AuditEntry.objects.filter(event="link-code:refused", subject=family.hana.pk)
    assert lines.count() == linking.MOST_MISFITS, "she sees in her log where it was shown"


def test_a_code_is_void_with_the_link_of_who_made_it(family: People, now: datetime) -> None:
    code, _ = linking.make_code(subject=family.hana.pk, by=family.ichiro, now=now)
    link = Guardianship.objects.get(person=family.ichiro, subject=family.hana.pk)
    guardianship.set_frozen(guardianship=link, by=family.sato, reason=FreezeReason.CHILD_PROTECTION, now=now)
    with pytest.raises(Absent):
        linking.use_code(system=doses.SYSTEM, value="0555", code=code, by=caller(family.clinic), now=now)
    assert not LocalNumber.objects.filter(organization=family.clinic).exists()


def test_a_dry_run_that_goes_on_after_an_erasure_still_loses_its_original(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,L0,,\n", organization=family.city, now=now)
    lines = f"0001,{HANA},2019-01-10,L1,,\n0002,{REN},2026-03-20,L1,,\n"
    run = brought(lines, organization=family.city, now=now, dry=True)
    Subject.objects.filter(pk=family.hana.pk).update(state="erased")
    upkeep.forget(family.hana.pk, now=now)
    steering.proceed(run=run.pk, by=caller(family.city), now=now)
    running.run(run.pk, clock=lambda: now)
    upkeep.sweep(now=now + timedelta(hours=1))
    run.refresh_from_db()
    assert (run.state, run.wrapped) == ("done", None)
