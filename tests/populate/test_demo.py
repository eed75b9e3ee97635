"""The demo family: fixed people, files that are what the code says, a medication notebook that matches Yuki."""

import re
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest

from integrations.jahis_qr import identity
from integrations.jahis_qr.parse import parse
from phr.populate.bundles import FOLDER, MEDICATION_NOTEBOOK, Import, files, imports
from phr.populate.cast import CAST, CHILDREN, DAUGHTER, FACILITIES, MOTHER, SUBJECTS
from phr.populate.facilities import all_facilities
from phr.records.validate import check

NOON = date(2026, 4, 1)


@pytest.mark.parametrize("path", files(), ids=lambda p: p.name)
def test_the_files_are_what_the_code_writes(path: Path) -> None:
    assert path.read_bytes() == files()[path], "run: python -m phr.populate.bundles"


def test_no_file_is_left_over() -> None:
    assert {p.name for p in FOLDER.glob("*.json")} == {p.name for p in files()}


@pytest.mark.parametrize("one", imports(), ids=lambda i: i.name)
def test_each_file_is_a_transaction_about_one_person(one: Import) -> None:
    bundle = one.bundle()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
    here = {entry["fullUrl"] for entry in bundle["entry"]}
    organizations = {f"Organization/{facility.id}" for facility in FACILITIES}
    named = set(re.findall(r'"reference": ?"([^"]+)"', one.path.read_text(encoding="utf-8")))
    assert named - here - organizations <= {f"Patient/{one.subject}"}
    for entry in bundle["entry"]:
        assert entry["request"] == {"method": "POST", "url": entry["resource"]["resourceType"]}
        assert [p for p in check(entry["resource"]) if p.severity != "warning"] == []


def test_the_family_is_who_it_is() -> None:
    assert {"yuki", "ichiro", "mei", "ken", "mori", "abe", "sato", "kondo", "ueda", "hata"} <= {
        c.username for c in CAST
    }
    assert [str(UUID(human.id)) for human in SUBJECTS] == [human.id for human in SUBJECTS]
    hana, ren = CHILDREN
    assert (NOON - hana.birth_on).days // 365 == 7
    assert (NOON - ren.birth_on).days < 365
    assert {human.family for human in SUBJECTS} == {"見本"}


def test_codes_of_the_demo_are_invented_and_its_own() -> None:
    codes = [facility.code for facility in FACILITIES]
    assert all(code.startswith("99") for code in codes)
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {facility.code for facility in all_facilities()}


def test_the_medication_notebook_is_sound_and_hers() -> None:
    notebook = parse(MEDICATION_NOTEBOOK.read_bytes())
    assert notebook.problems == ()
    assert len(notebook.groups) == 2
    hers = {"names": [MOTHER.name, MOTHER.kana], "gender": MOTHER.sex, "birth_on": MOTHER.birth_on}
    assert identity.mismatches(notebook, **hers) == []
    assert identity.mismatches(notebook, **{**hers, "names": [DAUGHTER.name]})


def test_hana_has_had_her_vaccinations_and_ren_his_first() -> None:
    counts = {
        one.name: sum(entry["resource"]["resourceType"] == "Immunization" for entry in one.bundle()["entry"])
        for one in imports()
    }
    assert counts["hana"] > 15
    assert counts["ren"] >= 2
