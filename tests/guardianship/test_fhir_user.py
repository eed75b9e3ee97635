"""A guardian's `fhirUser` opens: her own link as a RelatedPerson, and nobody else's (G-05, G-17)."""

from __future__ import annotations

import pytest
from django.utils import timezone

from consent.models import AuditEntry, Guardianship
from phr.populate.cast import HANA, YUKI
from phr.records import validate
from phr.records.profiles import judging
from phr.records.systems import OWN
from tests.family import App, Neighbourhood, encoded, entry
from tests.guardianship.desk import freeze, get, link_of, person


@pytest.fixture
def mother(family: Neighbourhood) -> App:
    return family.app("mother", patient="hana")


def own(username: str) -> str:
    return f"RelatedPerson/guardianship-{link_of(username, HANA).pk}"


@pytest.mark.G("17")
@pytest.mark.spec("SMART App Launch 2.2", "5.2", "fhirUser is the URL of a resource that can be read")
def test_it_says_who_acts_for_whom(family: Neighbourhood, mother: App) -> None:
    answer = mother.get(own("yuki"))
    assert answer.status == 200, answer
    told = answer.json
    assert told["patient"] == {"reference": f"Patient/{HANA}"}
    assert (told["name"][0]["text"], told["active"]) == (person("yuki").name, True)
    assert told["period"] == {"start": link_of("yuki", HANA).starts_on.isoformat()}
    assert [p for p in validate.check(told) if p.severity in ("fatal", "error")] == []
    findings = judging.findings(told, [f"{OWN}/StructureDefinition/guardian"], now=timezone.now())
    assert {f.severity for f in findings} <= {"warning", "information"}, findings
    assert mother.get(f"{own('yuki')}?_elements=period").json["meta"]["tag"][0]["code"] == "SUBSETTED"
    inner = mother.bundle("batch", entry("GET", own("yuki"))).json["entry"][0]
    assert inner["resource"] == told


@pytest.mark.G("05", "17")
def test_nobody_else_can_tell_that_it_is_there(family: Neighbourhood, mother: App) -> None:
    absent = "RelatedPerson/guardianship-999999"
    for app in (family.father, family.mother, family.aunt, family.clinic, family.officer, family.stranger):
        assert app.get(own("yuki")).told() == app.get(absent).told()
    assert mother.get(own("ichiro")).told() == mother.get(absent).told()
    for odd in (
        "guardianship-0",
        "guardianship-",
        f"guardianship-{10**17}",
        f"guardianship-+{link_of('yuki', HANA).pk}",
    ):
        assert mother.get(f"RelatedPerson/{odd}").status == 404


@pytest.mark.G("07", "17")
def test_it_is_gone_with_the_link(family: Neighbourhood) -> None:
    father = family.app("father", patient="hana")
    path = own("ichiro")
    assert father.get(path).status == 200
    Guardianship.objects.filter(pk=link_of("ichiro", HANA).pk).update(state="frozen")
    assert father.get(path).told() == father.get("RelatedPerson/guardianship-999999").told()
    Guardianship.objects.filter(pk=link_of("ichiro", HANA).pk).update(state="active")
    freeze(family, "ichiro", HANA)
    assert father.get(path).status in (401, 404)


@pytest.mark.G("05", "17")
def test_the_token_must_reach_it_and_the_read_is_on_the_log(family: Neighbourhood) -> None:
    narrow = family.app("mother", patient="hana", scope="launch/patient patient/Observation.rs")
    assert narrow.get(own("yuki")).status == 403
    part = family.app("mother", patient="hana", scope="launch/patient patient/RelatedPerson.rs?active=true")
    assert part.get(own("yuki")).status == 404
    before = timezone.now()
    mother = family.app("mother", patient="hana", scope="launch/patient patient/RelatedPerson.r trust.read")
    assert mother.get(own("yuki")).status == 200
    [line] = AuditEntry.objects.filter(at__gte=before, event="record:read", subject=HANA)
    assert line.person == person("yuki").pk
    told = get(family.father, f"records/{HANA}/log")
    assert told.status == 200
    for hidden in (own("yuki"), person("yuki").name, str(YUKI)):
        assert hidden.encode() not in told.content


@pytest.mark.G("17")
def test_nobody_writes_it(family: Neighbourhood, mother: App) -> None:
    told = mother.get(own("yuki")).json
    answer = mother.ask("PUT", own("yuki"), encoded({**told, "name": [{"text": "x"}]}))
    assert answer.status == 405, answer
    assert mother.delete(own("yuki")).status in (204, 404)
    assert mother.get(own("yuki")).json == told
