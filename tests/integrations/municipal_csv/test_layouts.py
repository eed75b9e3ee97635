"""The standard layouts: golden files, sound resources, codes the rest of the record uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from consent.scope import Category
from integrations.items import Item, Piece
from integrations.municipal_csv import catalogue, mapping, parse, profile
from integrations.municipal_csv.making import STAFF_ONLY
from phr.care.rules import diseases, rules_at
from phr.populate.items import items as invented
from phr.records.facts import facts_of
from phr.records.validate import check
from tests.integrations.municipal_csv.files import ABOUT, GOLDEN, TOWN, one, sample

LAYOUTS = sorted(profile.standard())
ENCODER = msgspec.json.Encoder(decimal_format="number")
OTHERS = {
    "two-headers.cp932": """
        extends = "infant-1y6m"
        id = "two-headers"
        version = "R8"
        title = "見出し2行"
        encoding = ["cp932"]
        header_rows = 2
        not_disclosed = { replace = true, at = 6, yes = ["1"] }
        correction = { replace = true, at = 6, yes = ["2"] }
        person = { number = { name = "本人/宛名番号" }, name = { name = "本人/氏名" },
          birth_date = { name = "本人/生年月日" }, sex = { name = "本人/性別" } }
        event = { date = { name = "健診/受診日" } }
        [items]
        replace = true
        "hdr.months" = { name = "健診/月齢" }
        "ant.weight" = { name = "計測/体重" }
        "ant.height" = { name = "計測/身長" }
        judge = { name = "判定", codes = "judgement" }
        [maps.judgement]
        replace = true
        version = "R8"
        codes = { "イ" = "ok", "ロ" = "observe" }
    """,
    "no-header.utf16": """
        extends = "vaccination"
        id = "no-header"
        version = "1"
        title = "見出しなし"
        encoding = ["utf-16"]
        header_rows = 0
        not_disclosed = { replace = true, at = 8, yes = ["9"], no = ["1", "2"] }
        correction = { replace = true, at = 8, yes = ["9"], no = ["1", "2"] }
        person = { replace = true, number = { at = 2 }, name = { at = 3 }, birth_date = { at = 4 }, sex = { at = 5 },
          organization = { at = 1 } }
        event = { replace = true, date = { at = 6 } }
        vaccine = { replace = true, codes = "vaccines", vaccine = { at = 7 }, dose = { at = 8 } }
        [maps.vaccines]
        version = "2024"
        codes = { "0401" = "DPTIPVHIB/1", "0402" = "DPTIPVHIB/2" }
    """,
}


def golden(name: str, layout: profile.Profile) -> dict[str, Any]:
    """What a golden file gives: its problems, and each Item with what it becomes."""
    with (GOLDEN / f"{name}.csv").open("rb") as stream:
        found = list(parse.items([Piece(f"{name}.csv", stream)], profile=layout, code=TOWN))
    told, given = [], []
    for it in found:
        if not isinstance(it, Item):
            told.append(it.as_json())
            continue
        mapped = mapping.resources(it, about=ABOUT)
        given.append({
            "key": it.key, "line": it.line, "said_at": it.said_at, "identity": it.identity,
            "problems": [p.code for p in (*it.problems, *mapped.problems)], "resources": mapped.resources,
        })  # fmt: skip
    made: dict[str, Any] = msgspec.json.decode(ENCODER.encode({"problems": told, "items": given}))
    return made


def laid_out(name: str, folder: Path) -> profile.Profile:
    if name in LAYOUTS:
        return profile.standard()[name]
    file = folder / f"{name.partition('.')[0]}.toml"
    file.write_text(_unindented(OTHERS[name]), encoding="utf-8")
    return profile.load(file)


def _unindented(text: str) -> str:
    """TOML without the indents; an inline table that goes over two lines becomes one."""
    return "\n".join(line.strip() for line in text.replace(",\n          ", ", ").splitlines())


@pytest.mark.parametrize("name", [*LAYOUTS, *OTHERS])
def test_a_golden_file_becomes_what_it_should(name: str, tmp_path: Path) -> None:
    expected = msgspec.json.decode((GOLDEN / f"{name}.fhir.json").read_bytes())
    assert golden(name, laid_out(name, tmp_path)) == expected


@pytest.mark.parametrize("name", [*LAYOUTS, *OTHERS])
def test_what_it_becomes_is_sound_and_classified(name: str, tmp_path: Path) -> None:
    layout = laid_out(name, tmp_path)
    with (GOLDEN / f"{name}.csv").open("rb") as stream:
        found = [i for i in parse.items([Piece("f", stream)], profile=layout, code=TOWN) if isinstance(i, Item)]
    assert found
    for it in found:
        ids: set[str] = set()
        for resource in mapping.resources(it, about=ABOUT).resources:
            assert [p for p in check(resource) if p.severity in ("error", "fatal")] == []
            fact = facts_of(resource, author=1)
            assert fact.subjects == (ABOUT.subject,)
            known = not fact.categories & Category.UNCLASSIFIED
            assert known or resource["code"]["coding"][0]["system"].endswith("/free")
            assert resource["id"] not in ids
            assert all(f"/{id}" not in str(resource) or id in ids for id in _pointed(resource))
            ids.add(resource["id"])


def _pointed(resource: dict[str, Any]) -> list[str]:
    text = ENCODER.encode(resource).decode()
    return [part.partition('"')[0] for kind in ("Encounter", "Observation") for part in text.split(f'"{kind}/')[1:]]


def test_items_are_coded_as_everywhere_in_the_record() -> None:
    """Where the invented families have an item too, code, category and profile are the same."""
    ours = catalogue.items()
    both = set(ours) & set(invented())
    assert len(both) > 80
    for name in both:
        theirs = invented()[name]
        assert ours[name].code["coding"] == theirs.code["coding"], name
        assert (ours[name].profile, ours[name].category) == (theirs.profile, theirs.category), name
    codes = {c["code"] for shape in ours.values() for c in shape.code["coding"]}
    assert not codes & {"22362-4", "57751-4"}


def test_vaccines_are_those_of_the_rules() -> None:
    products = rules_at(ABOUT.today).products
    ours = catalogue.vaccines()
    assert set(ours) == set(products)
    for name, vaccine in ours.items():
        assert vaccine.diseases == tuple(products[name].disease), name
        assert set(vaccine.diseases) <= set(diseases())
        assert catalogue.target_diseases(name)


def test_every_item_of_a_form_is_classified() -> None:
    from phr.records import classes, systems

    unknown = [name for name in catalogue.items() if not classes.of_code(systems.OWN_ITEM, name)]
    assert unknown == []


def test_support_need_is_for_staff_and_apart_from_finding_and_judgement() -> None:
    layout = sample(
        'maps.support = { version = "1", codes = { "2" = "継続支援" } }\nitems."judge.support".codes = "support"'
    )
    made = {
        c["code"]: r
        for r in mapping.resources(one({"判定": "1", "皮膚": "所見あり", "支援": "2"}, layout), about=ABOUT).resources
        if r["resourceType"] == "Observation"
        for c in r["code"]["coding"]
    }
    support = facts_of(made["judge.support"], author=1)
    assert support.categories & Category.SDV and support.level >= 3
    assert made["judge.support"]["meta"]["security"] == [STAFF_ONLY]
    assert made["judge"]["valueCodeableConcept"]["coding"][-1]["code"] == "ok"
    assert "finding" in str(made["org.skin"]["valueCodeableConcept"])
    for apart in ("judge", "org.skin"):
        assert "security" not in made[apart]["meta"]
        assert not facts_of(made[apart], author=1).categories & Category.SDV


def test_dates_of_the_future_make_nothing() -> None:
    for text in ("20990101", "2099", "2026-07"):
        mapped = mapping.resources(one({"受診日": text}), about=ABOUT)
        assert (mapped.resources, [p.code for p in mapped.problems]) == ([], ["future"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"最高血圧": "140", "最低血圧": "80"}, {"hdp": True}), ({"最高血圧": "139", "最低血圧": "89"}, {"hdp": False}),
     ({"ogtt": "92"}, {"gdm": True}), ({"ogtt": "91"}, {}), ({"風疹": "16倍"}, {"rubella.advice": "要予防接種相談"}),
     ({"風疹": "８未満"}, {"rubella.advice": "要予防接種相談"}), ({"風疹": "32"}, {"rubella.advice": "免疫あり"})],
)  # fmt: skip
def test_coarse_items_follow_from_raw_ones_and_say_how(changes: dict[str, str], expected: dict[str, Any]) -> None:
    layout = sample(PRENATAL)
    it = one(changes, layout)
    made = {r["code"]["coding"][-1]["code"]: r for r in mapping.resources(it, about=ABOUT).resources if "code" in r}
    derived = {name: r for name, r in made.items() if "method" in r}
    assert {
        n: r.get("valueBoolean", r.get("valueCodeableConcept", {}).get("text")) for n, r in derived.items()
    } == expected
    raw = {f"Observation/{r['id']}" for name, r in made.items() if name not in derived}
    for resource in derived.values():
        assert {p["reference"] for p in resource["derivedFrom"]} <= raw and resource["derivedFrom"]
        assert "診断ではない" in resource["method"]["text"]


def test_what_the_source_says_stays_beside_the_raw_values() -> None:
    it = one({"最高血圧": "150", "最低血圧": "80", "HDP": "なし"}, sample(PRENATAL))
    mapped = mapping.resources(it, about=ABOUT)
    made = [r for r in mapped.resources if "hdp" in str(r.get("code"))]
    assert [(r["valueBoolean"], "method" in r, len(r["derivedFrom"])) for r in made] == [(False, False, 1)]
    assert [p.code for p in mapped.problems] == ["derived-differs"]


PRENATAL = """
form = "prenatal"
stage = ""
items = { replace = true, "bp.sys" = { name = "最高血圧" }, "bp.dia" = { name = "最低血圧" },
  "ogtt.0" = { name = "ogtt" }, rubella = { name = "風疹" }, hdp = { name = "HDP" } }
""".replace(",\n  ", ", ")
