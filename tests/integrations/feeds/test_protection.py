"""不開示 is heard on whatever line it stands; no number tells where who is hidden is, nor whose record is locked."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from consent.models import Notice, Subject
from consent.refusal import Absent
from integrations import linking, waiting
from integrations.models import LocalNumber, Unlinked, WaitingItem
from phr.records.gateway import Records
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.test_linking import desk, only_case
from tests.integrations.feeds.town import HANA, brought, caller, contents, counts, standing

FIRST, SECOND = f"0001,{HANA},2019-01-10,L1,,", f"0001,{HANA},2019-02-10,L1,,"
UNKNOWN, UNKNOWN_SECOND = f"0777,{HANA},2019-01-10,L1,,", f"0777,{HANA},2019-02-10,L1,,"


def hidden(subject: UUID) -> bool:
    return Subject.objects.get(pk=subject).location_hidden


def test_a_guardian_sees_and_ends_no_number_of_a_hidden_child(family: People, now: datetime, client: Client) -> None:
    brought(f"{FIRST}\n", organization=family.city, now=now)
    client.force_login(family.ichiro)
    assert "0001" in client.get(reverse("numbers")).content.decode()
    brought(f"{FIRST}H\n", organization=family.city, now=now)
    page = client.get(reverse("numbers"))
    assert page.status_code == 200
    assert "0001" not in page.content.decode()
    assert family.city.name not in page.content.decode()
    assert linking.numbers_of(subject=family.hana.pk, by=family.ichiro, now=now) == []
    number = LocalNumber.objects.get(subject=family.hana.pk)
    with pytest.raises(Absent):
        linking.unlink(number=number.pk, by=family.ichiro, now=now)
    assert client.post(reverse("number-end", args=[number.pk])).status_code == 404
    number.refresh_from_db()
    assert number.until is None
    linking.unlink(number=number.pk, by=desk(family.sato), now=now)


def test_she_herself_sees_her_numbers_while_her_place_is_hidden(family: People, now: datetime) -> None:
    hers = family.yuki_subject
    patient = {"resourceType": "Patient", "id": str(hers.pk), "birthDate": str(hers.birth_on), "name": [{"text": "雪"}]}
    Records.opened_by(caller(family.city), now=now).create_all([patient], keep_ids=True)
    code, _ = linking.make_code(subject=hers.pk, by=family.yuki, now=now)
    linking.use_code(system=doses.SYSTEM, value="0500", code=code, by=caller(family.city), now=now)
    Subject.objects.filter(pk=hers.pk).update(location_hidden=True)
    [(number, value)] = linking.numbers_of(subject=hers.pk, by=family.yuki, now=now)
    assert value == "0500"
    linking.unlink(number=number.pk, by=family.yuki, now=now)


def test_a_measure_for_a_number_whose_link_ended_is_told_to_the_desk(family: People, now: datetime) -> None:
    brought(f"{FIRST}\n", organization=family.city, now=now)
    linking.unlink(number=LocalNumber.objects.get(subject=family.hana.pk).pk, by=family.ichiro, now=now)
    told = Notice.objects.filter(organization=family.city, kind="number:protected")
    brought(f"{SECOND}\n", organization=family.city, now=now)
    assert not told.exists()
    for _ in range(2):
        brought(f"{SECOND}H\n", organization=family.city, now=now)
        assert [notice.detail for notice in told] == [{"case": only_case()}], "at once, and once"
    brought(f"{UNKNOWN}H\n", organization=family.city, now=now)
    assert told.count() == 1, "who was never linked is in the queue, as everybody"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"{UNKNOWN}H\n{UNKNOWN}\n"], id="said again without"),
        pytest.param([f"{UNKNOWN}H\n{UNKNOWN_SECOND}\n"], id="on another line"),
        pytest.param([f"{UNKNOWN}H\n", f"{UNKNOWN}\n"], id="in an earlier file"),
        pytest.param([f"{UNKNOWN}HE\n{UNKNOWN_SECOND}\n"], id="on a line that cannot be read"),
        pytest.param([f"{UNKNOWN}HE\n", f"{UNKNOWN_SECOND}\n"], id="on such a line of an earlier file"),
        pytest.param([f"{UNKNOWN}\n", f"{UNKNOWN_SECOND}HE\n"], id="on such a line of a later file"),
    ],
)
def test_what_waits_hides_her_with_the_link(lines: list[str], family: People, now: datetime) -> None:
    for text in lines:
        brought(text, organization=family.city, now=now)
    [case] = linking.waiting_cases(by=desk(family.sato), now=now)
    assert case.identity.not_disclosed, "and the desk sees it"
    linking.link(case=case.id, subject=family.hana.pk, by=desk(family.sato), now=now)
    assert hidden(family.hana.pk)


def test_she_is_hidden_before_the_first_of_many_that_wait_is_visible(
    family: People, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting.take_up, "__kwdefaults__", {"most": 2})
    rows = "".join(f"0777,{HANA},2019-01-{day:02d},L1,,{'H' if day == 5 else ''}\n" for day in range(1, 7))
    brought(rows, organization=family.city, now=now)
    linking.link(case=only_case(), subject=family.hana.pk, by=desk(family.sato), now=now)
    assert (len(contents(family.city, now)), WaitingItem.objects.count()) == (2, 4)
    assert hidden(family.hana.pk)


def test_a_case_that_was_dismissed_hides_her_when_the_family_shows_a_code(family: People, now: datetime) -> None:
    brought(f"{UNKNOWN}H\n", organization=family.city, now=now)
    linking.dismiss(case=only_case(), by=desk(family.sato), now=now)
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=now)
    linking.use_code(system=doses.SYSTEM, value="0777", code=code, by=desk(family.sato), now=now)
    assert hidden(family.hana.pk)
    brought(f"{UNKNOWN_SECOND}\n", organization=family.city, now=now)
    assert standing(family.hana.pk)["Immunization"] == 1


def test_a_case_that_was_dismissed_hides_her_when_her_patient_comes_to_bear_the_number(
    family: People, now: datetime
) -> None:
    Unlinked.objects.create(
        organization=family.city, system=doses.SYSTEM, digest=linking.resolving.digest_of(doses.SYSTEM, "0001"),
        state="dismissed", not_disclosed=True, key_version=1, sealed=b"", since=now,
    )  # fmt: skip
    brought(f"{FIRST}\n", organization=family.city, now=now)
    assert hidden(family.hana.pk)
    Subject.objects.filter(pk=family.hana.pk).update(location_hidden=False)
    brought(f"{SECOND}\n", organization=family.city, now=now)
    assert not hidden(family.hana.pk), "heard once"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("0001,2018-06-02,female,2019-01-10,L1,,H", id="contradicts"),
        pytest.param(f"{FIRST}HE", id="cannot be read"),
        pytest.param(f"{FIRST}HM", id="cannot be mapped"),
        pytest.param(f"{FIRST}HI", id="not stored"),
    ],
)
def test_a_line_that_is_refused_hides_her_all_the_same(line: str, family: People, now: datetime) -> None:
    run = brought(f"{line}\n{SECOND}\n", organization=family.city, now=now)
    assert counts(run) == {"created": 1, "refused_items": 1}
    assert hidden(family.hana.pk)


def test_a_dry_run_hides_nobody_and_tells_no_desk(family: People, now: datetime) -> None:
    brought(f"{FIRST}H\n{UNKNOWN}H\n", organization=family.city, now=now, dry=True)
    assert not hidden(family.hana.pk)
    assert not Unlinked.objects.exists()


def test_a_locked_record_is_hidden_too_and_does_not_show_in_the_queue(family: People, now: datetime) -> None:
    brought(f"{FIRST}\n", organization=family.city, now=now)
    Subject.objects.filter(pk=family.hana.pk).update(state="locked")
    for line in (f"{SECOND}H\n", f"{SECOND}\n", f"0001,{HANA},2019-03-10,L1,,\n"):
        assert counts(brought(line, organization=family.city, now=now)) == {"unmatched": 1}
    assert hidden(family.hana.pk)
    assert linking.waiting_cases(by=desk(family.sato), now=now) == []
    assert waiting.sweep(now=now) == 0
    assert WaitingItem.objects.count() == 2, "behind the link, until she is back"
    Subject.objects.filter(pk=family.hana.pk).update(state="active")
    assert waiting.sweep(now=now) == 1
    assert (len(contents(family.city, now)), WaitingItem.objects.count()) == (3, 0)


def test_what_waits_behind_a_locked_record_waits_no_longer_than_the_rest(family: People, now: datetime) -> None:
    brought(f"{FIRST}\n", organization=family.city, now=now)
    Subject.objects.filter(pk=family.hana.pk).update(state="locked")
    brought(f"{SECOND}\n", organization=family.city, now=now)
    waiting.sweep(now=now + timedelta(days=89))
    assert WaitingItem.objects.count() == 1
    waiting.sweep(now=now + timedelta(days=91))
    assert not WaitingItem.objects.exists()


def test_a_case_without_lines_hides_her_when_its_number_is_linked_another_way(family: People, now: datetime) -> None:
    brought(f"{UNKNOWN}HE\n", organization=family.city, now=now)
    assert not WaitingItem.objects.exists()
    Subject.objects.filter(pk=family.hana.pk).update(location_hidden=False)
    case = Unlinked.objects.get(state="waiting")
    LocalNumber.objects.create(
        organization=family.city, system=doses.SYSTEM, digest=case.digest, subject=family.hana, key_version=1,
        sealed=b"", ground="launch", since=now,
    )  # fmt: skip
    waiting.sweep(now=now)
    assert hidden(family.hana.pk)
