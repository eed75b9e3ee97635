"""Who is not known waits, until staff decide or the family shows a code; and what a link does not open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from consent.decide import Caller, Capacity
from consent.models import AuditEntry, Organization, Person, Subject
from consent.refusal import Absent, Refusal
from consent.scope import Door
from integrations import linking, waiting
from integrations.items import Identity
from integrations.models import ImportRun, LinkCode, LocalNumber, Unlinked, WaitingItem
from phr.records.gateway import NotFound, Records
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.town import HANA, REN, brought, caller, contents, counts, standing

UNKNOWN = f"0777,{HANA},2019-01-10,L1,,\n0777,{HANA},2019-03-10,L2,,\n"


def desk(person: Person) -> Caller:
    assert person.organization is not None
    return Caller(
        client="desk", capacity=Capacity.STAFF, purpose="PUBHLTH", doors=(Door("*", "cruds"),), person=person.pk,
        organization=person.organization_id,
    )  # fmt: skip


def only_case() -> int:
    [case] = Unlinked.objects.filter(state="waiting")
    return case.pk


def test_the_queue_shows_the_case_and_candidates_among_those_seen_anyway(family: People, now: datetime) -> None:
    brought(UNKNOWN, organization=family.city, now=now)
    [case] = linking.waiting_cases(by=desk(family.sato), now=now)
    assert (case.identity.value, case.items, case.kinds) == ("0777", 2, ("test-doses",))
    found = linking.candidates(case=case.id, by=desk(family.sato), now=now)
    assert [c.subject for c in found] == [family.hana.pk, family.ren.pk], "the likeliest first"
    assert 1 > found[0].score > found[1].score > 0
    assert found[0].grade == "possible", "a name and a birthday make nobody certain"
    assert AuditEntry.objects.filter(event="number:read", subject=family.hana.pk).exists()


def test_the_queue_shows_whom_the_newest_item_names(family: People, now: datetime) -> None:
    for birth, day, said in (
        ("2018-06-01", "10", "20260101"), ("2018-06-02", "11", "20260110"), ("2018-06-03", "12", "20260105")
    ):  # fmt: skip
        brought(f"0777,{birth},female,2019-01-{day},L1,{said},\n", organization=family.city, now=now)
    [case] = linking.waiting_cases(by=desk(family.sato), now=now)
    assert (case.identity.birth_date, case.items) == ("2018-06-02", 3)


def test_another_town_sees_neither_the_case_nor_the_candidate(family: People, now: datetime) -> None:
    brought(UNKNOWN, organization=family.city, now=now)
    assert linking.waiting_cases(by=desk(family.kondo), now=now) == []
    with pytest.raises(Absent):
        linking.candidates(case=only_case(), by=desk(family.kondo), now=now)
    brought(UNKNOWN, organization=family.other_city, now=now)
    [case] = linking.waiting_cases(by=desk(family.kondo), now=now)
    assert linking.candidates(case=case.id, by=desk(family.kondo), now=now) == []
    with pytest.raises(Absent):
        linking.link(case=case.id, subject=family.hana.pk, by=desk(family.kondo), now=now)


def test_what_waited_is_brought_in_with_the_link(family: People, now: datetime) -> None:
    run = brought(UNKNOWN, organization=family.city, now=now)
    linking.link(case=only_case(), subject=family.hana.pk, by=desk(family.sato), now=now)
    assert standing(family.hana.pk) == {"Immunization": 2, "Provenance": 1}
    assert not WaitingItem.objects.exists()
    [case] = Unlinked.objects.all()
    assert (case.state, bytes(case.sealed)) == ("linked", b""), "whom the source named is not kept beside the link"
    run.refresh_from_db()
    assert counts(run) == {"created": 2}
    assert counts(brought(UNKNOWN, organization=family.city, now=now)) == {"unchanged": 2}
    [number] = LocalNumber.objects.filter(ground="desk")
    assert number.linked_by == family.sato


def test_a_system_decides_nothing(family: People, now: datetime) -> None:
    brought(UNKNOWN, organization=family.city, now=now)
    for deed in (linking.dismiss, linking.candidates):
        with pytest.raises(Refusal):
            deed(case=only_case(), by=caller(family.city), now=now)
    with pytest.raises(Refusal):
        linking.link(case=only_case(), subject=family.hana.pk, by=caller(family.city), now=now)


def test_a_link_that_contradicts_is_refused(family: People, now: datetime) -> None:
    brought(UNKNOWN, organization=family.city, now=now)
    with pytest.raises(Refusal, match="birthDate"):
        linking.link(case=only_case(), subject=family.ren.pk, by=desk(family.sato), now=now)
    assert not LocalNumber.objects.filter(subject=family.ren).exists()


def test_a_link_is_a_leave_to_deposit_and_to_read_nothing(family: People, now: datetime) -> None:
    """The clinic knows nobody here; with a code it writes its own, and still reads nothing of others."""
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    clinic = caller(family.clinic)
    brought(f"0001,{HANA},2019-01-10,TOWN,,\n", organization=family.city, now=now)
    linking.use_code(system=doses.SYSTEM, value="K-1", code=code.lower(), by=clinic, now=now)
    brought(f"K-1,{HANA},2020-01-10,CLINIC,,\n", organization=family.clinic, now=now)
    records = Records.opened_by(clinic, now=now)
    mine = {r.fhir_id for r in Resource.objects.filter(type="Immunization", author=family.clinic.pk)}
    for row in Resource.objects.filter(type="Immunization"):
        if row.fhir_id in mine:
            assert records.read("Immunization", row.fhir_id)
        else:
            with pytest.raises(NotFound):
                records.read("Immunization", row.fhir_id)
    with pytest.raises(NotFound):
        records.read("Patient", str(family.hana.pk))


def test_a_code_is_good_once_for_half_an_hour_and_only_the_family_makes_it(family: People, now: datetime) -> None:
    clinic = caller(family.clinic)
    with pytest.raises(Absent):
        linking.make_code(subject=family.hana.pk, by=family.mei, now=now)
    first, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    second, kept = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    assert second not in str(LinkCode.objects.values_list())
    with pytest.raises(Absent):  # a newer one was made
        linking.use_code(system=doses.SYSTEM, value="K-1", code=first, by=clinic, now=now)
    with pytest.raises(Absent):
        linking.use_code(system=doses.SYSTEM, value="K-1", code=second, by=clinic, now=kept.until)
    linking.use_code(system=doses.SYSTEM, value="K-1", code=second, by=clinic, now=now)
    with pytest.raises(Absent):
        linking.use_code(system=doses.SYSTEM, value="K-2", code=second, by=clinic, now=now)


def test_whoever_guesses_codes_is_stopped(family: People, now: datetime) -> None:
    clinic = caller(family.clinic)
    for _ in range(linking.MOST_TRIES):
        with pytest.raises(Absent):
            linking.use_code(system=doses.SYSTEM, value="K-1", code="AAAAAAAAAA", by=clinic, now=now)
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    with pytest.raises(Refusal):
        linking.use_code(system=doses.SYSTEM, value="K-1", code=code, by=clinic, now=now)
    later = now + timedelta(minutes=61)
    again, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=later)
    assert linking.use_code(system=doses.SYSTEM, value="K-1", code=again, by=clinic, now=later).subject == family.hana


def test_what_was_dismissed_is_not_kept_until_the_family_shows_a_code(family: People, now: datetime) -> None:
    brought(UNKNOWN, organization=family.city, now=now)
    linking.dismiss(case=only_case(), by=desk(family.sato), now=now)
    run = brought(UNKNOWN, organization=family.city, now=now)
    assert (counts(run), WaitingItem.objects.count()) == ({"refused_items": 2}, 0)
    assert {p["code"] for p in run.problems} == {"person-dismissed"}
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    linking.use_code(system=doses.SYSTEM, value="0777", code=code, by=caller(family.city), now=now)
    assert counts(brought(UNKNOWN, organization=family.city, now=now)) == {"created": 2}


def test_a_protected_person_is_hidden_with_the_link(family: People, now: datetime) -> None:
    brought(f"0777,{HANA},2019-01-10,L1,,H\n", organization=family.city, now=now)
    linking.link(case=only_case(), subject=family.hana.pk, by=desk(family.sato), now=now)
    assert Subject.objects.get(pk=family.hana.pk).location_hidden


def test_what_waited_hides_her_when_the_number_came_to_be_linked_another_way(family: People, now: datetime) -> None:
    for flags in ("H", ""):
        brought(f"0777,{HANA},2019-01-10,L1,,{flags}\n", organization=family.city, now=now)
    who, city = Identity(doses.SYSTEM, "0777"), caller(family.city)
    linking.link_by_launch(identity=who, subject=family.hana.pk, person=family.yuki, by=city, now=now)
    assert waiting.sweep(now=now) == 1
    assert Subject.objects.get(pk=family.hana.pk).location_hidden


def test_the_family_ends_a_number_and_it_does_not_come_back_by_itself(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,L1,,\n", organization=family.city, now=now)
    [(number, value)] = linking.numbers_of(subject=family.hana.pk, by=family.yuki, now=now)
    assert value == "0001"
    with pytest.raises(Absent):
        linking.unlink(number=number.pk, by=family.mei, now=now)
    linking.unlink(number=number.pk, by=family.yuki, now=now)
    run = brought(f"0001,{HANA},2019-05-10,L1,,\n", organization=family.city, now=now)
    assert counts(run) == {"unmatched": 1}
    assert len(contents(family.city, now)) == 1, "what came before stays"


def test_a_wrong_link_is_taken_back_and_the_lines_go_to_the_right_child(family: People, now: datetime) -> None:
    twin = f"0777,{HANA.split(',', maxsplit=1)[0]},,2019-01-10,L1,,\n"
    teen = Subject.objects.create(birth_on=family.hana.birth_on, created_at=now)
    Records.opened_by(caller(family.city), now=now).create_all(
        [{"resourceType": "Patient", "id": str(teen.pk), "birthDate": "2018-06-01"}], keep_ids=True
    )
    brought(twin, organization=family.city, now=now)
    wrong = linking.link(case=only_case(), subject=family.hana.pk, by=desk(family.sato), now=now)
    assert linking.unlink(number=wrong.pk, by=desk(family.sato), now=now, retract=True) == 1
    brought(twin, organization=family.city, now=now)
    linking.link(case=only_case(), subject=teen.pk, by=desk(family.sato), now=now)
    found = {(r["patient"]["reference"][8:], r["status"]) for r in contents(family.city, now)}
    assert found == {(str(family.hana.pk), "entered-in-error"), (str(teen.pk), "completed")}
    run = brought(twin.replace("L1", "L2"), organization=family.city, now=now)
    assert counts(run) == {"updated": 1}
    assert counts(brought(twin.replace("L1", "L2"), organization=family.city, now=now)) == {"unchanged": 1}


def test_many_that_wait_are_taken_up_by_a_worker(
    family: People, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AT_ONCE", 2)
    monkeypatch.setattr(waiting.take_up, "__kwdefaults__", {"most": 2})
    lines = "".join(f"0777,{HANA},2019-01-{day:02d},L,,\n" for day in range(1, 6))
    brought(lines, organization=family.city, now=now)
    linking.link(case=only_case(), subject=family.hana.pk, by=desk(family.sato), now=now)
    assert WaitingItem.objects.count() == 3
    assert waiting.sweep(now=now) == 1
    assert (WaitingItem.objects.count(), len(contents(family.city, now))) == (0, 5)


def test_a_locked_record_takes_nothing_and_what_came_waits(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,L1,,\n", organization=family.city, now=now)
    Subject.objects.filter(pk=family.hana.pk).update(state="locked")
    run = brought(f"0001,{HANA},2019-05-10,L1,,\n0002,{REN},2026-03-20,L2,,\n", organization=family.city, now=now)
    assert counts(run) == {"created": 1, "unmatched": 1}
    Subject.objects.filter(pk=family.hana.pk).update(state="active")
    assert waiting.sweep(now=now) == 1
    assert len(contents(family.city, now)) == 3


def test_nothing_waits_for_ever(family: People, now: datetime) -> None:
    brought(UNKNOWN, organization=family.city, now=now)
    assert waiting.sweep(now=now + timedelta(days=89)) == 0
    assert waiting.sweep(now=now + timedelta(days=91)) == 1
    assert not Unlinked.objects.exists()
    assert ImportRun.objects.exists()


def test_a_code_without_a_number_links_nothing(family: People, now: datetime) -> None:
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    with pytest.raises(Absent):
        linking.link_by_code(identity=Identity(doses.SYSTEM, ""), code=code, by=caller(family.clinic), now=now)
    bound = replace(caller(family.clinic), subject=family.hana.pk)
    with pytest.raises(Absent):
        linking.link_by_code(identity=Identity(doses.SYSTEM, "K-1"), code=code, by=bound, now=now)
    assert Organization.objects.exists()
