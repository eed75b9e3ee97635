"""Municipal files all the way into the record: again, corrected, taken back, twins, hidden, waiting, refused."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from consent.decide import Caller, Capacity
from consent.models import ProtectionCase, Subject
from consent.scope import Door
from integrations import running, taking
from integrations.items import Piece
from integrations.models import ImportRun, KnownItem, Unlinked, WaitingItem
from integrations.municipal_csv import connector
from phr.records import body, systems
from phr.records.gateway import NotFound, Records
from phr.records.measuring import pregnancy
from phr.records.models import Resource
from tests.consent.people import People, people

HEAD = (
    "団体コード,宛名番号,氏名,生年月日,性別,受診日,月齢,体重,身長,皮膚,皮膚 所見,判定,支援の必要性,修正区分,"
    "不開示区分,更新日時\r\n"
)
HANA = "131016,0000000123,見本 花子,20240601,2"
TWIN = "131016,0000000124,見本 葉子,20240601,2"
SAID = "20251210,18,10.2,79.5,所見なし,,A,2,{},{},2026/01/05 09:00\r\n"
SHOTS = "宛名番号,生年月日,接種日,ワクチン,回数,修正区分,不開示区分\r\n"


def row(who: str = HANA, *, kind: str = "", hidden: str = "", **changes: str) -> str:
    line = f"{who},{SAID.format(kind, hidden)}"
    for before, after in changes.items():
        line = line.replace({"weight": "10.2", "judged": ",A,", "said": "2026/01/05"}[before], after)
    return line


@pytest.fixture
def family(db: None, now: datetime) -> People:
    """Hana has a twin; both bear the town's numbers. Ren is known to nobody's register."""
    made = people(now)
    for child in (made.hana, made.ren):
        Subject.objects.filter(pk=child.pk).update(birth_on="2024-06-01")
    Records.opened_by(town(made), now=now).create_all(
        [patient(made.hana.pk, "0000000123", "131016"), patient(made.ren.pk, "0000000124", "131016")], keep_ids=True
    )
    return made


def patient(pk: UUID, number: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": str(pk), "birthDate": "2024-06-01", "gender": "female",
        "identifier": [{"system": f"{systems.PERSON_AT_MUNICIPALITY}/{code}", "value": number}],
        "name": [{"text": "見本"}],
    }  # fmt: skip


def town(family: People) -> Caller:
    return taking.caller_for(family.city, client="town")


def brought(text: str, family: People, now: datetime, *, profile: str = "infant-1y6m", dry: bool = False) -> ImportRun:
    pieces = [Piece("file.csv", io.BytesIO(text.encode()))]
    run = taking.take(
        connector, pieces, organization=family.city, by=town(family), now=now, profile=profile, dry=dry, wake=False
    )
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    return run


def counts(run: ImportRun) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "retracted", "unmatched", "refused_items")
    return {name: getattr(run, name) for name in names if getattr(run, name)}


def told(run: ImportRun) -> list[str]:
    return [p["code"] for p in run.problems if p["severity"] != "information"]


def content(caller: Caller, now: datetime, subject: UUID, type: str = "Observation") -> dict[str, dict[str, Any]]:
    """What this caller can read of one person, by the own code of each."""
    records = Records.opened_by(caller, now=now)
    found = {}
    for one in Resource.objects.filter(type=type, subject=subject, deleted=False):
        try:
            read = body.parse(records.read(type, one.fhir_id).body or b"{}")
        except NotFound:
            continue
        code = read.get("code") or read.get("vaccineCode") or {"coding": [{"code": type}]}
        found[code["coding"][-1]["code"]] = read
    return found


def provenance(caller: Caller, now: datetime, subject: UUID) -> list[str]:
    """The Provenance of one person this caller can read."""
    records, found = Records.opened_by(caller, now=now), []
    for one in Resource.objects.filter(type="Provenance", subject=subject, deleted=False):
        try:
            found.append((records.read("Provenance", one.fhir_id).body or b"").decode())
        except NotFound:
            continue
    return found


def mother(family: People) -> Caller:
    return Caller(
        client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=(Door("*", "cruds"),),
        person=family.yuki.pk, subject=family.hana.pk,
    )  # fmt: skip


def test_a_checkup_arrives_and_the_same_file_again_changes_nothing(family: People, now: datetime) -> None:
    run = brought(HEAD + row(), family, now)
    assert (run.state, told(run), run.refused_items) == ("done", [], 0)
    assert (
        run.created
        == Resource.objects.filter(subject=family.hana.pk).exclude(type__in=["Patient", "Provenance"]).count()
    )
    weight = content(town(family), now, family.hana.pk)["ant.weight"]
    assert (str(weight["valueQuantity"]["value"]), weight["effectiveDateTime"]) == ("10.2", "2025-12-10")
    before = Resource.objects.count()
    for spelled in (row(), row().replace("20251210", "令和7年12月10日").replace("2026/01/05", "R8.1.6")):
        again = brought(HEAD + spelled, family, now + timedelta(hours=1))
        assert counts(again) == {"unchanged": run.created}
    assert Resource.objects.count() == before


def test_a_dry_run_tells_what_would_come_and_stores_nothing(family: People, now: datetime) -> None:
    before = Resource.objects.count()
    dry = brought(HEAD + row(judged=",X,") + row("131016,0000000999,知らない,20240601,2"), family, now, dry=True)
    assert (dry.state, told(dry), dry.unmatched) == ("reported", ["unmapped-judgement"], 1)
    assert (Resource.objects.count(), KnownItem.objects.count(), WaitingItem.objects.count()) == (before, 0, 0)
    assert dry.created > 5


def test_a_corrected_row_is_a_new_version_and_an_older_row_changes_nothing(family: People, now: datetime) -> None:
    brought(HEAD + row(), family, now)
    run = brought(HEAD + row(weight="10.4", said="2026/02/01"), family, now + timedelta(days=1))
    assert counts(run)["updated"] == 1 and "created" not in counts(run)
    weight = content(town(family), now, family.hana.pk)["ant.weight"]
    assert (str(weight["valueQuantity"]["value"]), weight["meta"]["versionId"]) == ("10.4", "2")
    brought(HEAD + row(weight="9.9", said="2026/01/20"), family, now + timedelta(days=2))
    assert str(content(town(family), now, family.hana.pk)["ant.weight"]["valueQuantity"]["value"]) == "10.4"


def test_a_cell_that_is_emptied_and_a_row_that_is_deleted_were_entered_in_error(family: People, now: datetime) -> None:
    first = brought(HEAD + row(), family, now)
    run = brought(HEAD + row(weight=""), family, now)
    assert counts(run)["retracted"] == 1
    assert content(town(family), now, family.hana.pk)["ant.weight"]["status"] == "entered-in-error"
    gone = brought(HEAD + row(kind="2"), family, now)
    assert counts(gone) == {"retracted": first.created - 1}
    assert {r["status"] for r in content(town(family), now, family.hana.pk).values()} == {"entered-in-error"}
    assert content(town(family), now, family.hana.pk, "Encounter")["Encounter"]["status"] == "entered-in-error"


def test_a_row_with_an_unknown_kind_of_correction_is_refused_and_counted(family: People, now: datetime) -> None:
    run = brought(HEAD + row() + row(TWIN, kind="7"), family, now)
    errors = [(p["code"], p["line"]) for p in run.problems if p["severity"] == "error"]
    assert errors == [("unknown-correction", 3)]
    assert (run.state, run.refused_items, run.unmatched) == ("done", 1, 0)
    assert content(town(family), now, family.hana.pk)
    assert not content(town(family), now, family.ren.pk)


def test_twins_get_each_their_own_and_a_third_with_their_name_and_birth_date_waits(
    family: People, now: datetime
) -> None:
    third = "131016,0000000125,見本 花子,20240601,2"
    run = brought(HEAD + row() + row(TWIN, weight="9.8") + row(third), family, now)
    weights = [content(town(family), now, pk)["ant.weight"] for pk in (family.hana.pk, family.ren.pk)]
    assert [str(w["valueQuantity"]["value"]) for w in weights] == ["10.2", "9.8"]
    assert (run.unmatched, Unlinked.objects.count(), WaitingItem.objects.count()) == (1, 1, 1)


def test_a_row_whose_birth_date_contradicts_the_person_is_refused(family: People, now: datetime) -> None:
    before = brought(HEAD + row(), family, now)
    run = brought(HEAD + row(HANA.replace("20240601", "20240602"), weight="10.9"), family, now)
    assert (before.refused_items, run.refused_items, told(run)) == (0, 1, ["contradicts"])
    assert str(content(town(family), now, family.hana.pk)["ant.weight"]["valueQuantity"]["value"]) == "10.2"


def test_non_disclosure_hides_the_place_even_when_the_row_itself_is_of_no_use(family: People, now: datetime) -> None:
    brought(HEAD + row(), family, now)
    run = brought(HEAD + row(hidden="1").replace("20251210", "いつか"), family, now)
    assert told(run) == ["bad-date"]
    assert ProtectionCase.objects.filter(subject=family.hana.pk, told_by=family.city).count() == 1
    assert not ProtectionCase.objects.filter(subject=family.ren.pk).exists()
    father = Caller(
        client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=(Door("*", "cruds"),),
        person=family.ichiro.pk, subject=family.hana.pk,
    )  # fmt: skip
    assert content(father, now, family.hana.pk) == {}  # what tells a place is not shown


def test_support_need_is_the_towns_and_never_the_familys(family: People, now: datetime) -> None:
    brought(HEAD + row(), family, now)
    at_town, at_home = (content(who, now, family.hana.pk) for who in (town(family), mother(family)))
    assert "judge.support" in at_town
    assert "judge.support" not in at_home
    assert {"ant.weight", "judge", "org.skin"} <= set(at_home)
    hidden = at_town["judge.support"]["id"]
    trail = {who: provenance(who, now, family.hana.pk) for who in (town(family), mother(family))}
    assert [hidden in text for text in sorted(trail[town(family)], key=len)] == [True, False]
    assert [hidden in text for text in trail[mother(family)]] == [False]


def test_a_vaccination_of_a_town(family: People, now: datetime) -> None:
    run = brought(f"{SHOTS}0000000123,20240601,20241010,BCG,1,,\r\n", family, now, profile="vaccination")
    assert (run.state, counts(run)) == ("done", {"created": 1})
    [shot] = content(mother(family), now, family.hana.pk, "Immunization").values()
    assert (shot["occurrenceDateTime"], shot["vaccineCode"]["coding"][0]["code"]) == ("2024-10-10", "BCG")


def test_a_file_with_my_numbers_stores_nothing(family: People, now: datetime) -> None:
    run = brought(f"個人番号,{HEAD}123456789018,{row()}", family, now)
    assert (run.state, told(run)) == ("refused", ["my-number-column"])
    assert Resource.objects.filter(type="Observation").count() == KnownItem.objects.count() == 0


PREGNANT = (
    "団体コード,宛名番号,氏名,生年月日,性別,受診日,出産予定日,流産・死産・人工妊娠中絶,修正区分,不開示区分,更新日時\r\n"
)


def test_a_loss_in_a_file_ends_the_pregnancy_and_makes_no_child(family: People, now: datetime) -> None:
    """Before and after: what is due and whom a reminder would be about is what `pregnancy` tells."""
    line = "131016,0000000123,見本 花子,20240601,2,{},20260430,{},,,2026/01/0{} 09:00\r\n"
    day, records = date(2026, 1, 10), Records.opened_by(town(family), now=now)
    brought(PREGNANT + line.format("20251210", "", 5), family, now, profile="prenatal")
    assert pregnancy(records, family.hana.pk, visits=[date(2025, 12, 10)], day=day)
    before = Resource.objects.filter(type="Patient").count(), Subject.objects.count()
    run = brought(PREGNANT + line.format("20260106", "死産", 7), family, now, profile="prenatal")
    assert (run.state, told(run), bool(run.created)) == ("done", [], True)
    assert pregnancy(records, family.hana.pk, visits=[date(2025, 12, 10)], day=day) is None
    assert (Resource.objects.filter(type="Patient").count(), Subject.objects.count()) == before
