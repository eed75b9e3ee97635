"""A feed from its bytes to the record: what is new, what is again, what changed, what is taken back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from consent import protection
from consent.models import AuditEntry, Confirmation
from consent.refusal import Refusal
from integrations import feeding
from integrations.models import ImportRun, KnownItem, LocalNumber, Unlinked, WaitingItem
from integrations.problems import Unreadable
from phr.records import body
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.town import HANA, REN, brought, caller, contents, counts, pieces, standing

TWO = f"0001,{HANA},2019-01-10,L1,,\n0002,{REN},2026-03-20,L2,,\n"


def test_doses_arrive_in_the_records_of_the_children_with_their_provenance(family: People, now: datetime) -> None:
    run = brought(TWO, organization=family.city, now=now)
    assert (run.state, counts(run), run.done, run.total, run.problems) == ("done", {"created": 2}, 2, 2, [])
    assert standing(family.hana.pk) == standing(family.ren.pk) == {"Immunization": 1, "Provenance": 1}
    assert {n.ground for n in LocalNumber.objects.all()} == {"identifier"}
    [told] = Resource.objects.filter(type="Provenance", subject=family.hana.pk)
    said = body.parse(Records.opened_by(caller(family.city), now=now).read("Provenance", told.fhir_id).body or b"")
    assert said["entity"][0]["what"] == {
        "identifier": {"system": "https://tsumugi.example/fhir/IdSystem/sha256", "value": run.sha256},
        "display": "1",
    }
    assert said["agent"][0]["who"]["identifier"]["value"] == family.city.code
    assert Confirmation.objects.filter(run=run.pk, resources=1).count() == 2


def test_the_same_again_is_nothing(family: People, now: datetime) -> None:
    brought(TWO, organization=family.city, now=now)
    before = (Resource.objects.count(), KnownItem.objects.count())
    again = brought(TWO, organization=family.city, now=now + timedelta(hours=1))
    assert counts(again) == {"unchanged": 2}
    assert (Resource.objects.count(), KnownItem.objects.count()) == before


def test_a_correction_is_a_new_version_and_what_is_no_longer_said_was_entered_in_error(
    family: People, now: datetime
) -> None:
    brought(f"0001,{HANA},2019-01-10,L1,,2\n", organization=family.city, now=now)
    run = brought(f"0001,{HANA},2019-01-10,L9,,\n", organization=family.city, now=now)
    assert counts(run) == {"updated": 1, "retracted": 1}
    found = {(r["status"], r["lotNumber"], r["meta"]["versionId"]) for r in contents(family.city, now)}
    assert found == {("completed", "L9", "2"), ("entered-in-error", "L1", "2")}


def test_a_deletion_was_entered_in_error_and_may_be_said_again(family: People, now: datetime) -> None:
    brought(TWO, organization=family.city, now=now)
    run = brought(f"0001,{HANA},2019-01-10,L1,,D\n", organization=family.city, now=now)
    assert counts(run) == {"retracted": 1}
    assert sorted(r["status"] for r in contents(family.city, now)) == ["completed", "entered-in-error"]
    back = brought(TWO, organization=family.city, now=now + timedelta(hours=1))
    assert counts(back) == {"updated": 1, "unchanged": 1}
    assert [r["status"] for r in contents(family.city, now)] == ["completed", "completed"]


def test_what_was_said_earlier_never_replaces_what_was_said_later(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,NEW,2026-03-02,\n", organization=family.city, now=now)
    brought(f"0001,{HANA},2019-01-10,OLD,2026-03-01,\n", organization=family.city, now=now)
    assert [r["lotNumber"] for r in contents(family.city, now)] == ["NEW"]
    brought(f"0001,{HANA},2019-01-10,NEW,2026-03-09,\n", organization=family.city, now=now)
    brought(f"0001,{HANA},2019-01-10,MID,2026-03-05,\n", organization=family.city, now=now)
    assert [r["lotNumber"] for r in contents(family.city, now)] == ["NEW"], "the same said again counts as said then"


def test_a_deletion_that_arrives_first_wins_over_an_older_word(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,L1,2026-03-02,D\n", organization=family.city, now=now)
    brought(f"0001,{HANA},2019-01-10,L1,2026-03-01,\n", organization=family.city, now=now)
    assert contents(family.city, now) == []


def test_one_bad_line_falls_out_alone_and_is_named(family: People, now: datetime) -> None:
    lines = [
        f"0001,{HANA},2019-01-10,L1,,", f"0001,{HANA},2019-01-11,L1,,E", f"0001,{HANA},2019-01-12,L1,,M",
        f"0001,{HANA},2019-01-13,L1,,I", "what", f"0002,{REN},2026-03-20,L2,,", f",{HANA},2019-01-14,L1,,",
        "0001,2018-06-02,male,2019-01-15,L1,,",
    ]  # fmt: skip
    run = brought("\n".join(lines), organization=family.city, now=now)
    assert counts(run) == {"created": 2, "refused_items": 6}
    assert sorted((p["line"], p["code"]) for p in run.problems) == [
        (2, "cell"), (3, "unmappable"), (4, "not-stored"), (5, "cells"), (7, "no-number"), (8, "contradicts"),
    ]  # fmt: skip
    assert KnownItem.objects.count() == 2, "what could not be stored may come again"
    assert "L1" not in str(run.problems)
    assert "2018" not in str(run.problems)


def test_what_breaks_off_in_the_middle_leaves_nothing(family: People, now: datetime) -> None:
    run = brought(TWO * 150 + "BROKEN\n", organization=family.city, now=now)
    assert (run.state, run.problems[0]["code"], run.problems[0]["line"]) == ("refused", "broken", 301)
    assert not contents(family.city, now)
    assert not LocalNumber.objects.exists()


def test_who_is_not_known_waits_sealed(family: People, now: datetime) -> None:
    run = brought(f"0009,{HANA},2019-01-10,L1,,\n0009,{HANA},2019-02-10,L1,,\n", organization=family.city, now=now)
    assert counts(run) == {"unmatched": 2}
    assert WaitingItem.objects.count() == 2
    assert not contents(family.city, now)
    other = brought(TWO, organization=family.other_city, now=now)
    assert counts(other) == {"unmatched": 2}, "a number is its sender's own; her Patient is not this town's to see"


def test_a_protected_person_is_hidden_before_anything_of_the_line_is_seen(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,L1,,H\n", organization=family.city, now=now)
    family.hana.refresh_from_db()
    assert family.hana.location_hidden
    events = list(AuditEntry.objects.filter(subject=family.hana.pk).order_by("pk").values_list("event", flat=True))
    assert events.index("location:hidden") < len(events) - 1 - events[::-1].index("record:created")
    brought(f"0001,{HANA},2019-01-10,L2,,\n", organization=family.city, now=now)
    family.hana.refresh_from_db()
    assert family.hana.location_hidden, "only staff show again"


@pytest.mark.parametrize("line", [f"0001,{HANA},2019-01-10,L1,,H", f"0001,{HANA},2019-01-12,L1,,HE"])
def test_a_line_that_is_not_kept_hides_as_well(family: People, now: datetime, line: str) -> None:
    """One another line of the chunk replaces, and one that cannot be read."""
    brought(f"{line}\n0001,{HANA},2019-01-10,L2,,\n", organization=family.city, now=now)
    family.hana.refresh_from_db()
    assert family.hana.location_hidden
    assert [r["lotNumber"] for r in contents(family.city, now)] == ["L2"]


def test_what_waits_hides_even_where_its_line_was_replaced(family: People, now: datetime) -> None:
    for flags in ("H", ""):
        brought(f"0009,{HANA},2019-01-10,L1,,{flags}\n0009,{HANA},2019-01-10,L2,,\n", organization=family.city, now=now)
    assert Unlinked.objects.get().not_disclosed
    patient = {
        "resourceType": "Patient", "id": str(family.hana.pk), "birthDate": HANA.split(",")[0],
        "identifier": [{"system": doses.SYSTEM, "value": "0009"}],
    }  # fmt: skip
    Records.opened_by(caller(family.city), now=now).update("Patient", str(family.hana.pk), patient)
    brought(f"0009,{HANA},2019-03-10,L3,,\n", organization=family.city, now=now)
    family.hana.refresh_from_db()
    assert family.hana.location_hidden
    assert standing(family.hana.pk)["Immunization"] == 1


def test_what_two_lines_share_is_written_once(family: People, now: datetime) -> None:
    text = f"0001,{HANA},2019-01-10,L1,,S\n0002,{REN},2026-03-20,L2,,S\n"
    assert counts(brought(text, organization=family.city, now=now)) == {"created": 3}
    later = brought(f"0001,{HANA},2019-03-10,L1,,S\n", organization=family.city, now=now)
    assert counts(later) == {"created": 1}
    assert Resource.objects.filter(type="Practitioner").count() == 1


def test_said_twice_in_one_file_the_last_counts(family: People, now: datetime) -> None:
    run = brought(f"0001,{HANA},2019-01-10,L1,,\n0001,{HANA},2019-01-10,L2,,\n", organization=family.city, now=now)
    assert counts(run) == {"created": 1}
    assert [r["lotNumber"] for r in contents(family.city, now)] == ["L2"]


def test_a_small_input_is_there_when_the_deed_returns(family: People, now: datetime) -> None:
    text = TWO + f"0009,{HANA},2019-01-10,L1,,\n0001,{HANA},2019-01-11,L1,,M\n"
    out = feeding.deposit(doses, pieces(text), organization=family.city, by=caller(family.city), now=now)
    assert [r.what for r in out.results] == ["stored", "stored", "waiting", "refused"]
    assert [p.code for p in out.results[3].problems] == ["unmappable"]
    assert (out.created, len(contents(family.city, now))) == (2, 2)
    again = feeding.deposit(doses, pieces(TWO), organization=family.city, by=caller(family.city), now=now)
    assert [r.what for r in again.results] == ["unchanged", "unchanged"]
    assert ImportRun.objects.count() == 1, "a run is kept for what waits only"
    with pytest.raises(Unreadable):
        feeding.deposit(doses, pieces("BROKEN"), organization=family.city, by=caller(family.city), now=now)


def test_a_dry_run_tells_and_changes_nothing(family: People, now: datetime) -> None:
    brought(TWO, organization=family.city, now=now)
    before = (Resource.objects.count(), KnownItem.objects.count(), LocalNumber.objects.count())
    text = f"0001,{HANA},2019-01-10,L9,,\n0002,{REN},2026-03-20,L2,,\n0001,{HANA},2019-05-05,L1,,\n"
    text += f"0009,{REN},2026-03-20,L,,\n"
    run = brought(text, organization=family.city, now=now, dry=True)
    assert (run.state, counts(run)) == ("reported", {"created": 1, "updated": 1, "unchanged": 1, "unmatched": 1})
    assert (Resource.objects.count(), KnownItem.objects.count(), LocalNumber.objects.count()) == before
    assert not WaitingItem.objects.exists()
    real = brought(text, organization=family.city, now=now)
    assert counts(real) == counts(run)


def test_only_the_desk_of_the_register_shows_again_what_it_hid(family: People, now: datetime) -> None:
    brought(f"0001,{HANA},2019-01-10,L1,,H\n", organization=family.city, now=now)
    for desk in (family.kondo, family.mori, family.yuki):
        with pytest.raises(Refusal):
            protection.set_location(subject=family.hana, hidden=False, reason=protection.Reason.ENDED, by=desk, now=now)
    protection.set_location(subject=family.hana, hidden=False, reason=protection.Reason.ENDED, by=family.sato, now=now)
    family.hana.refresh_from_db()
    assert not family.hana.location_hidden
