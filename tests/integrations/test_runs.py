"""Import runs against the real record: done once whatever happens, refused whole, resumed after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from consent.decide import Caller
from consent.guardianship import FreezeReason
from consent.models import AuditEntry, Guardianship
from consent.scope import Door
from integrations import accepting, running
from integrations.incoming import Part
from integrations.models import ImportPart, ImportRun
from phr.records import body
from phr.records.gateway import Forbidden, NotFound, Records, Refused
from phr.records.models import Resource
from phr.smart import severing
from tests.consent.people import People
from tests.integrations.conftest import clinic
from tests.integrations.jahis_qr.samples import DRUG, GROUP, notebook, sample
from tests.integrations.moves import FULL, JAHIS, codes, hanas, imported, kinds, table_sizes
from tests.lines import told_by


def test_a_notebook_becomes_a_record(family: People, mother: Caller, now: datetime) -> None:
    run = imported(hanas(sample("tc08_full.txt")), by=mother, subject=family.hana.pk, now=now)
    assert (run.state, codes(run)) == ("done", {"weight-unconfirmed"})
    assert kinds(family.hana.pk) == FULL
    assert (run.created, run.updated, run.unchanged) == (17, 0, 0)
    assert (run.done, run.total) == (17, 17)
    assert not ImportPart.objects.exists(), "the original is a Binary now"


def test_a_dispensing_reads_back_with_its_decimals(family: People, mother: Caller, now: datetime) -> None:
    data = notebook(*GROUP, "201,1,見本,1.50,錠,1,,1", DRUG[1])
    imported(hanas(data), by=mother, subject=family.hana.pk, now=now)
    row = Resource.objects.get(type="MedicationDispense")
    found = body.parse(Records.opened_by(mother, now=now).read("MedicationDispense", row.fhir_id).body or b"")
    rate = found["dosageInstruction"][0]["doseAndRate"][0]["rateRatio"]["numerator"]
    assert str(rate["value"]) == "1.50"
    assert found["performer"][0]["actor"]["identifier"]["value"] == "1349999991"


def test_the_same_file_again_is_the_same_run(family: People, mother: Caller, now: datetime) -> None:
    data = hanas(sample("tc08_full.txt"))
    first = imported(data, by=mother, subject=family.hana.pk, now=now)
    before = table_sizes()
    again = imported(data, by=mother, subject=family.hana.pk, now=now + timedelta(days=1))
    assert again.pk == first.pk
    assert table_sizes() == before


def test_the_other_parent_with_the_same_file_changes_nothing(
    family: People, mother: Caller, father: Caller, now: datetime
) -> None:
    data = hanas(sample("tc08_full.txt"))
    first = imported(data, by=mother, subject=family.hana.pk, now=now)
    before = table_sizes()
    second = imported(data, by=father, subject=family.hana.pk, now=now + timedelta(days=1))
    assert second.pk != first.pk
    assert (second.state, second.created, second.updated, second.unchanged) == ("done", 0, 0, 17)
    assert table_sizes() == before


def test_a_later_notebook_adds_only_what_is_new(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(notebook(*GROUP, *DRUG)), by=mother, subject=family.hana.pk, now=now)
    later = hanas(notebook("5,20260301,1", *GROUP[1:], *DRUG, *GROUP, *DRUG))
    run = imported(later, by=mother, subject=family.hana.pk, now=now)
    assert (run.created, run.unchanged) == (3, 1)  # one dispensing, the original twice over
    assert kinds(family.hana.pk)["MedicationDispense"] == 2


def test_an_end_given_later_updates_the_untouched_statement(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(notebook("3,見本薬,20260105,,2")), by=mother, subject=family.hana.pk, now=now)
    ended = imported(hanas(notebook("3,見本薬,20260105,20260108,2")), by=mother, subject=family.hana.pk, now=now)
    assert (ended.updated, kinds(family.hana.pk)["MedicationStatement"]) == (1, 1)
    open_again = imported(hanas(notebook("3,見本薬,20260105,,2", "4,x,,2")), by=mother, subject=family.hana.pk, now=now)
    assert open_again.updated == 0, "a second version is somebody's word and stays"


def test_what_the_owner_deleted_stays_deleted(family: People, mother: Caller, father: Caller, now: datetime) -> None:
    data = hanas(sample("tc08_full.txt"))
    imported(data, by=mother, subject=family.hana.pk, now=now)
    gone = Resource.objects.filter(type="MedicationDispense").first()
    assert gone is not None
    Records.opened_by(mother, now=now).delete("MedicationDispense", gone.fhir_id)
    imported(data, by=father, subject=family.hana.pk, now=now)
    gone.refresh_from_db()
    assert gone.deleted


def test_what_the_owner_confirmed_stays_confirmed(
    family: People, mother: Caller, father: Caller, now: datetime
) -> None:
    data = hanas(notebook("2,1,卵,1"))
    imported(data, by=mother, subject=family.hana.pk, now=now)
    records = Records.opened_by(mother, now=now)
    row = Resource.objects.get(type="AllergyIntolerance")
    allergy = body.parse(records.read("AllergyIntolerance", row.fhir_id).body or b"")
    allergy["verificationStatus"]["coding"][0]["code"] = "confirmed"
    records.update("AllergyIntolerance", row.fhir_id, allergy)
    imported(data, by=father, subject=family.hana.pk, now=now)
    row.refresh_from_db()
    assert row.version == 2


# Refusals


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty", None), (b"PK\x03\x04", "not-jahistc", 1), (b"JAHIS10\r\n1,1,x", "rx-record-missing", None),
        (notebook(*GROUP, DRUG[0]), "no-usage", 7), (notebook("31,9,x,1,,2"), "no-otc", 3),
        (sample("tc08_full.txt"), "birth-differs", 2), (sample("tc07_output2_patient.txt"), "name-differs", 2),
        (notebook(*GROUP, *DRUG, "911,1,1,2").replace(b"S500401", b"H300601"), "bad-split", 9),
    ],
)  # fmt: skip
def test_a_refused_file_stores_nothing_but_the_run_with_its_problems(
    family: People, mother: Caller, now: datetime, data: bytes, code: str, line: int | None
) -> None:
    before = table_sizes()
    run = imported(data, by=mother, subject=family.hana.pk, now=now)
    assert run.state == "refused"
    assert code in codes(run)
    assert line in [p.get("line") for p in run.problems if p["code"] == code]
    assert table_sizes() == before
    assert not ImportPart.objects.exists()
    assert "見本" not in json.dumps(run.problems, ensure_ascii=False)


def test_a_refused_file_may_be_tried_again(family: People, mother: Caller, now: datetime) -> None:
    first = imported(b"nonsense", by=mother, subject=family.hana.pk, now=now)
    again = imported(b"nonsense", by=mother, subject=family.hana.pk, now=now)
    assert first.pk != again.pk


def test_a_broken_group_is_left_out_and_the_others_come_in(family: People, mother: Caller, now: datetime) -> None:
    data = hanas(notebook(*GROUP, DRUG[0], "5,20251201,1", *GROUP[1:], *DRUG))
    run = imported(data, by=mother, subject=family.hana.pk, now=now)
    assert (run.state, kinds(family.hana.pk)["MedicationDispense"]) == ("done", 1)
    assert [(p["code"], p["line"]) for p in run.problems if p["severity"] == "error"] == [("no-usage", 7)]


# Whose authority


def test_nobody_imports_for_a_stranger(family: People, mother: Caller, now: datetime) -> None:
    aunt = replace(mother, person=family.mei.pk)
    with pytest.raises(Refused):
        imported(hanas(sample("tc08_full.txt")), by=aunt, subject=family.hana.pk, now=now)
    with pytest.raises(NotFound):
        imported(b"x", by=mother, subject=family.ren.pk, now=now)
    with pytest.raises(NotFound):
        imported(b"x", by=clinic(family), subject=UUID(int=7), now=now)
    assert not ImportRun.objects.exists()


def test_a_guardianship_that_ends_in_between_stops_the_run(family: People, mother: Caller, now: datetime) -> None:
    data = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, data, subject=family.hana.pk, by=mother, now=now, wake=False)
    link = Guardianship.objects.get(person=family.yuki, subject=family.hana)
    severing.freeze(guardianship_id=link.pk, by=family.sato, reason=FreezeReason.SUPPORT_MEASURE, now=now)
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    assert (run.state, codes(run)) == ("refused", {"not-allowed"})
    assert not kinds(family.hana.pk)


def test_a_token_that_may_not_write_dispensings_is_turned_away(family: People, mother: Caller, now: datetime) -> None:
    for doors in ((Door("*", "rs"),), (Door("Communication", "cruds"),)):
        with pytest.raises(Forbidden):
            imported(b"x", by=replace(mother, doors=doors), subject=family.hana.pk, now=now)


def test_what_the_token_does_not_cover_is_left_out_and_named(family: People, mother: Caller, now: datetime) -> None:
    narrow = replace(mother, doors=(Door("MedicationDispense", "c"), Door("Provenance", "c")))
    run = imported(hanas(sample("tc08_full.txt")), by=narrow, subject=family.hana.pk, now=now)
    assert run.state == "done"
    assert kinds(family.hana.pk) == {"MedicationDispense": 5, "Provenance": 2}
    left_out = [p["en"] for p in run.problems if p["code"] == "left-out"]
    assert any("6 Communication" in text for text in left_out)


def test_an_organisation_makes_the_pharmacies_and_writes_as_itself(family: People, now: datetime) -> None:
    run = imported(hanas(sample("tc08_full.txt")), by=clinic(family), subject=family.hana.pk, now=now)
    assert run.state == "done"
    assert Resource.objects.filter(type="Organization").count() == 2
    assert set(Resource.objects.filter(type="MedicationDispense").values_list("author", flat=True)) == {
        family.clinic.pk
    }


def test_what_the_family_holds_does_not_show_in_an_organisations_import(
    family: People, mother: Caller, now: datetime
) -> None:
    data = hanas(sample("tc08_full.txt"))
    assert imported(data, by=mother, subject=family.hana.pk, now=now).created > 0
    fresh = imported(data, by=clinic(family), subject=family.hana.pk, now=now)
    more = hanas(sample("tc08_full.txt") + b"\r\n")  # another file with the same content
    again = imported(more, by=clinic(family), subject=family.hana.pk, now=now)
    assert (fresh.unchanged, again.created) == (0, 0)
    authors = Resource.objects.filter(type="MedicationDispense").values_list("author", flat=True)
    assert sorted(authors, key=str) == sorted([family.clinic.pk] * 5 + [None] * 5, key=str)


def test_a_family_does_not_tell_again_what_its_clinic_told(family: People, mother: Caller, now: datetime) -> None:
    data = hanas(sample("tc08_full.txt"))
    imported(data, by=clinic(family), subject=family.hana.pk, now=now)
    before = table_sizes()
    run = imported(data, by=mother, subject=family.hana.pk, now=now)
    assert (run.state, run.created, run.updated) == ("done", 0, 0)
    assert table_sizes() == before, "nor is an original kept that told nothing"
    later = hanas(notebook("5,20260313,1", *GROUP[1:], *DRUG))
    assert imported(later, by=mother, subject=family.hana.pk, now=now).created == 3  # with its original


def test_a_pharmacy_that_is_there_is_pointed_at(family: People, mother: Caller, now: datetime) -> None:
    imported(hanas(sample("tc08_full.txt")), by=clinic(family), subject=family.hana.pk, now=now)
    made = Resource.objects.filter(type="Organization").values_list("fhir_id", flat=True)
    data = hanas(notebook("5,20260313,1", *GROUP[1:], *DRUG))
    imported(data, by=mother, subject=family.hana.pk, now=now)
    mine = Resource.objects.get(type="MedicationDispense", author=None)
    found = body.parse(Records.opened_by(mother, now=now).read("MedicationDispense", mine.fhir_id).body or b"")
    assert found["performer"][0]["actor"]["reference"].partition("/")[2] in made


def test_the_log_tells_of_the_import_without_its_content(family: People, mother: Caller, now: datetime) -> None:
    run = imported(hanas(sample("tc08_full.txt")), by=mother, subject=family.hana.pk, now=now)
    entries = AuditEntry.objects.filter(event__startswith="import:").order_by("id")
    assert [e.event for e in entries] == ["import:accepted", "import:committed"]
    assert {told_by(e)["run"] for e in entries} == {str(run.pk)}
    assert {e.person for e in entries} == {family.yuki.pk}


# Parts


def test_parts_that_come_one_by_one_gather_in_one_run(family: People, mother: Caller, now: datetime) -> None:
    pieces = [hanas(sample(f"split911_part{n}of3.txt")) for n in (3, 1, 2)]
    runs = [imported(piece, by=mother, subject=family.hana.pk, now=now) for piece in pieces]
    assert len({run.pk for run in runs}) == 1
    assert [(run.state, run.missing) for run in runs] == [("waiting", [1, 2]), ("waiting", [2]), ("done", [])]
    assert kinds(family.hana.pk)["MedicationDispense"] == 5
    assert kinds(family.hana.pk)["Binary"] == 3


def test_a_set_scanned_again_is_the_run_it_was(family: People, mother: Caller, now: datetime) -> None:
    pieces = [hanas(sample(f"split911_part{n}of3.txt")) for n in (1, 2, 3)]
    first = imported(*pieces, by=mother, subject=family.hana.pk, now=now)
    again = [imported(piece, by=mother, subject=family.hana.pk, now=now) for piece in pieces[:2]]
    last = accepting.accept(JAHIS, [Part(pieces[2])], subject=family.hana.pk, by=mother, now=now, wake=False)
    assert (first.state, again[0].state, last.pk) == ("done", "waiting", first.pk)
    assert ImportRun.objects.count() == 1


def test_a_problem_in_a_part_names_part_and_line(family: People, mother: Caller, now: datetime) -> None:
    pieces = [hanas(sample(f"split911_part{n}of3.txt")) for n in (1, 2, 3)]
    pieces[2] = pieces[2].replace(b"301,1,", b"301,7,")
    run = imported(*pieces, by=mother, subject=family.hana.pk, now=now)
    assert [(p["part"], p["line"]) for p in run.problems if p["code"] == "no-usage"] == [(3, 5)]


def test_structured_append_in_any_order(family: People, mother: Caller, now: datetime) -> None:
    whole = hanas(sample("tc08_full.txt"))
    cuts = [whole[:463], whole[463:900], whole[900:]]
    parts = [Part(cuts[n], n, 3, "77") for n in (2, 0, 1)]
    runs = [imported(part, by=mother, subject=family.hana.pk, now=now) for part in parts]
    assert [run.state for run in runs] == ["waiting", "waiting", "done"]
    assert kinds(family.hana.pk)["MedicationDispense"] == 5


def test_parts_that_never_become_whole_are_let_go(family: People, mother: Caller, now: datetime) -> None:
    run = imported(hanas(sample("split911_part1of3.txt")), by=mother, subject=family.hana.pk, now=now)
    running.sweep(now=now + timedelta(days=31))
    run.refresh_from_db()
    assert (run.state, codes(run) & {"never-completed"}) == ("refused", {"never-completed"})
    assert not ImportPart.objects.exists()


def test_waiting_parts_are_sealed(family: People, mother: Caller, now: datetime) -> None:
    data = hanas(sample("split911_part1of3.txt"))
    run = imported(data, by=mother, subject=family.hana.pk, now=now)
    kept = ImportPart.objects.get(run=run)
    assert "見本".encode("cp932") not in bytes(kept.sealed)
    assert accepting.opened(run)[0].data == data
