"""What a guardian is told of consents, and of the places they name: no more than the record itself would tell."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import clauses, glass, grants, rules
from consent.asking import Capacity
from consent.fhir_consent import SCOPE
from consent.models import Grant, Organization, Person, Subject
from consent.scope import Clause
from phr.populate.cast import HANA
from phr.records import systems
from phr.trust.log_pages import LogReading, Wanted
from tests.family import Neighbourhood, weight
from tests.guardianship.desk import done, get, person, post
from tests.trust.packages import package

PLACE = "例示こどもクリニック"


def _by_a_girl_of_16() -> Grant:
    now = timezone.now()
    record = Subject.objects.get(pk=HANA)
    record.birth_on = date(rules.today_in_japan(now).year - 16, 1, 1)
    record.save()
    hana = Person.objects.create(username="hana", name="花", own_subject=record)
    clinic = Organization.objects.get(name=PLACE)
    tree = Clause(
        permit=True, actors=frozenset({f"org:{clinic.pk}"}), purposes=frozenset({"TREAT"}),
        labels=frozenset(clauses.LABEL_NAMES),
    )  # fmt: skip
    return grants.give(subject=record, root=tree, by=hana, capacity="self", now=now)


@pytest.mark.G("10", "05")
def test_what_a_girl_of_16_consented_to_is_not_there_for_her_father(family: Neighbourhood) -> None:
    own = _by_a_girl_of_16()
    one = f"records/{HANA}/consents/{own.pk}"
    assert own.pk not in {told["id"] for told in get(family.father, f"records/{HANA}/consents").json}
    none = f"records/{HANA}/consents/999999"
    for rest in ("", "/versions", "/receipt"):
        hidden, absent = get(family.father, one + rest), get(family.father, none + rest)
        assert (hidden.status, hidden.json) == (absent.status, absent.json) == (404, hidden.json), rest
    for deed in ("withdraw", "pause", "resume", "accept", "reject"):
        hidden, absent = post(family.father, f"{one}/{deed}"), post(family.father, f"{none}/{deed}")
        assert (hidden.status, hidden.json) == (absent.status, absent.json), deed
        assert hidden.status == 404, deed
    own.refresh_from_db()
    assert own.state == Grant.State.ACTIVE
    told = package(family.father, f"records/{HANA}/disclosure").rows("consents.ndjson")
    assert own.pk not in {row["id"] for row in told}
    kept = package(family.father, f"records/{HANA}/portability").files["consents.ndjson"].decode()
    assert '"PSY"' not in kept


@pytest.mark.G("12", "05")
def test_a_consent_that_names_what_is_hidden_from_guardians_is_not_there(family: Neighbourhood) -> None:
    record, clinic = Subject.objects.get(pk=HANA), Organization.objects.get(name=PLACE)
    tree = {"permit": False, "actors": [f"org:{clinic.pk}"], "clauses": [{"permit": False, "labels": ["SDV"]}]}
    hidden = Grant.objects.create(
        subject=record, given_by=person("yuki"), capacity="guardian", root=tree, given_at=timezone.now()
    )
    mother, father = family.app("mother", patient="hana"), family.father
    assert hidden.pk in {told["id"] for told in get(mother, f"records/{HANA}/consents").json}  # she gave it
    assert hidden.pk not in {told["id"] for told in get(father, f"records/{HANA}/consents").json}
    assert get(father, f"records/{HANA}/consents/{hidden.pk}").status == 404


@pytest.mark.G("08")
def test_no_organisation_is_named_to_a_guardian_while_the_place_is_hidden(family: Neighbourhood) -> None:
    mother, father, now = family.app("mother", patient="hana"), family.father, timezone.now()
    clinic = Organization.objects.get(name=PLACE)
    family.of_clinic(clinic.code).create(weight(HANA))
    tree = {"permit": True, "actors": [f"org:{clinic.pk}"], "purposes": ["TREAT"], "categories": ["GROWTH"]}
    one = done(mother, f"records/{HANA}/consents/give", {"root": tree})["id"]
    glass.break_glass(
        subject=HANA, purpose="BTG", why=glass.Why("unconscious", "理由はこうこうこうです。"),
        lasts=timedelta(minutes=30), by=person("kodama"), now=now,
    )  # fmt: skip
    ambulance = person("kodama").organization
    assert ambulance is not None
    done(mother, f"records/{HANA}/protection")

    for path in ("consents", f"consents/{one}", "emergencies", "provisions", "benefits"):
        answer = get(father, f"records/{HANA}/{path}")
        assert answer.status == 200, path
        said = answer.content.decode()
        assert PLACE not in said, path
        assert f"org:{clinic.pk}" not in said, path
        assert ambulance.name not in said, path
    assert get(father, f"records/{HANA}/consents/{one}").json["root"]["actors"] == ["org:hidden"]
    assert get(father, f"records/{HANA}/consents/{one}/receipt").status == 404
    assert all("organization" not in told["detail"] for told in get(father, "notices").json if told["record"])
    for kind in ("disclosure", "portability"):
        found = package(father, f"records/{HANA}/{kind}")
        for name, content in found.files.items():
            said = content.decode()
            assert PLACE not in said, (kind, name)
            assert clinic.code not in said, (kind, name)
            assert f"org:{clinic.pk}" not in said, (kind, name)
    notices = package(father, f"records/{HANA}/disclosure").rows("notices.ndjson")
    assert notices
    assert all("organization" not in told["detail"] for told in notices)
    assert PLACE in get(mother, f"records/{HANA}/consents/{one}").content.decode()  # she named it herself


def _spellings(clinic: Organization) -> dict[str, dict[str, Any]]:
    """Ways in which a Consent names an organisation."""
    code = {"system": f"{systems.INSTITUTION_10}", "value": clinic.code}
    return {
        "by identifier": {"identifier": code}, "by name": {"display": PLACE},
        "by type": {"type": "Organization", "display": PLACE},
    }  # fmt: skip


@pytest.mark.G("08")
@pytest.mark.parametrize("by", ["mother", "father"])
def test_no_consent_at_the_fhir_door_names_an_organisation_while_the_place_is_hidden(
    family: Neighbourhood, by: str
) -> None:
    """Of a child of 7: given by the trust's API, or written as a Consent; by whichever way it can be asked for."""
    giver = family.app(by, patient="hana")
    clinic = Organization.objects.get(name=PLACE)
    tree = {"permit": True, "actors": [f"org:{clinic.pk}"], "purposes": ["TREAT"], "categories": ["GROWTH"]}
    done(giver, f"records/{HANA}/consents/give", {"root": tree})
    [given] = [e["resource"] for e in giver.search("Consent").json["entry"]]
    assert clinic.code in str(given) or PLACE in str(given) or "Organization/" in str(given)
    named = [given["id"]]
    for spelling in _spellings(clinic).values():
        treatment = {"scope": {"coding": [{"system": SCOPE, "code": "treatment"}]}}
        rest = {k: v for k, v in given.items() if k not in ("id", "meta", "provision", "identifier", "extension")}
        named.append(giver.made({**rest, **treatment, "organization": [spelling]})["id"])
    guardians = (family.app("mother", patient="hana"), family.app("father", patient="hana"))
    assert all(app.get(f"Consent/{id}").status == 200 for app in guardians for id in named)
    done(giver, f"records/{HANA}/protection")
    for app in guardians:
        absent = app.get("Consent/00000000-0000-4000-8000-000000000000")
        assert [id for id in named if app.get(f"Consent/{id}").told() != absent.told()] == []
        pages = [
            app.search("Consent", _total="accurate"), app.get(f"Patient/{HANA}/$everything?_count=200"),
            app.get("Consent/_history"), app.get(f"Patient/{HANA}/Consent"), app.get("AuditEvent?_count=100"),
            app.search("Patient", _revinclude="Consent:patient"),
            *(app.get(f"Consent/{id}/_history/1") for id in named),
        ]  # fmt: skip
        content = b"\n".join(page.content for page in pages)
        assert [hidden for hidden in (PLACE, clinic.code, *named) if hidden.encode() in content] == []
        assert app.search("Consent", _total="accurate").json["total"] == 0
    done(family.officer, f"desk/records/{HANA}/location", {"hidden": False, "reason": "ended"})
    assert all(app.get(f"Consent/{id}").status == 200 for app in guardians for id in named)


@pytest.mark.G("08")
def test_a_page_of_the_log_ends_at_a_line_that_is_shown(family: Neighbourhood) -> None:
    mother = family.app("mother", patient="hana")
    mother.made(weight(HANA))
    done(family.officer, f"desk/records/{HANA}/location", {"hidden": True, "reason": "support-measure"})
    done(family.officer, f"desk/records/{HANA}/location", {"hidden": False, "reason": "ended"})
    mother.made(weight(HANA))
    reading = LogReading.of_person(
        Subject.objects.get(pk=HANA), person=person("ichiro").pk, capacity=Capacity.GUARDIAN, now=timezone.now()
    )
    looked = list(reading.walk(Wanted()))
    shown = {place for place, line in looked if line is not None}
    assert len(shown) < len(looked)
    cursor, ends = None, []
    for _ in range(20):
        cursor = reading.page(Wanted(), count=1, cursor=cursor).cursor
        if cursor is None:
            break
        ends.append(cursor)
    assert ends
    assert set(ends) <= shown
