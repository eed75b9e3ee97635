"""What rests on a consent ends with it, in the same transaction: page links, tokens, what an app may still refresh."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from consent import grants, stopping
from consent.guardianship import FreezeReason
from consent.models import Grant, Guardianship, Organization, Subject
from consent.scope import Clause
from phr.populate.cast import HANA, PAEDIATRIC, YUKI
from phr.populate.store import FOR_THE_CLINIC
from phr.smart import demo, severing
from tests.access.test_race import FORM
from tests.family import App, Neighbourhood, pressure, weight

Ending = Callable[[Neighbourhood, Grant], object]


def give(family: Neighbourhood, actor: str, purpose: str) -> Grant:
    """Yuki lets somebody read what she lets her clinic read."""
    root = Clause(
        permit=True, purposes=frozenset({purpose}), actors=frozenset({actor}), actions=frozenset({"access"}),
        categories=FOR_THE_CLINIC, valid_to=timezone.now() + timedelta(days=100),
    )  # fmt: skip
    subject = Subject.objects.get(pk=YUKI)
    return grants.give(subject=subject, root=root, by=yuki(family), capacity="self", now=timezone.now())


def yuki(family: Neighbourhood) -> Any:
    return family.demo.people["yuki"]


def active(token: str) -> bool:
    key = b64encode(f"{demo.RESOURCE_SERVER}:{demo.secret_of(demo.RESOURCE_SERVER)}".encode()).decode()
    answer = Client().generic(
        "POST", "/oauth/introspect", urlencode({"token": token}), content_type=FORM,
        headers={"authorization": f"Basic {key}"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.content
    return bool(answer.json()["active"])


ENDINGS: dict[str, Ending] = {
    "withdrawn": lambda f, g: grants.withdraw(grant=g, by=yuki(f), reason="", now=timezone.now()),
    "paused": lambda f, g: stopping.pause(grant=g, by=yuki(f), now=timezone.now()),
    "stopped": lambda f, g: stopping.stop_everything(
        subject=Subject.objects.get(pk=YUKI), by=yuki(f), capacity="self", now=timezone.now()
    ),
}


def proxy(family: Neighbourhood) -> tuple[App, Grant]:
    """Aunt Mei at Yuki's record, which Yuki lets her read."""
    grant = give(family, f"person:{family.demo.people['mei'].pk}", "FAMRQT")
    return family.app("aunt", patient="yuki", scope="launch/patient patient/*.rs offline_access"), grant


@pytest.mark.IT("11")
@pytest.mark.IT("12")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.spec("RFC 7662", "2.2", "a token whose basis is gone is inactive")
def test_a_proxys_token_and_page_links_end(family: Neighbourhood, ending: str) -> None:
    for _ in range(4):
        family.mother.made(pressure())
    aunt, grant = proxy(family)
    first = aunt.search("Observation", _count="2")
    assert len(first.ids) == 2 and first.next and active(aunt.token)
    ENDINGS[ending](family, grant)
    assert not active(aunt.token)
    after = aunt.get(first.next)
    assert after.status in (400, 404) and b"Quantity" not in after.content
    assert aunt.search("Observation").status in (200, 404) and b"Quantity" not in aunt.search("Observation").content


@pytest.mark.IT("11")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_recipients_page_links_lead_to_nothing(family: Neighbourhood, ending: str) -> None:
    for _ in range(4):
        family.mother.made(pressure())
    clinic = family.of_clinic(PAEDIATRIC.code)
    grant = give(family, f"org:{Organization.objects.get(code=PAEDIATRIC.code).pk}", "TREAT")
    first = clinic.search("Observation", patient=str(YUKI), _count="2")
    assert first.next
    ENDINGS[ending](family, grant)
    assert clinic.get(first.next).ids == []
    assert clinic.search("Observation", patient=str(YUKI)).ids == []


@pytest.mark.IT("11")
def test_page_links_of_one_record_die_with_a_change_of_its_consent(family: Neighbourhood) -> None:
    """The cursor is bound to the epoch: also where what follows would still be permitted."""
    for _ in range(4):
        family.mother.made(pressure())
    searched = family.mother.search("Observation", _count="2").next
    walked = family.mother.get(f"Patient/{YUKI}/$everything?_count=2").next
    past = family.mother.get("Observation/_history?_count=2").next
    assert searched and walked and past
    assert (
        family.mother.get(searched).status == family.mother.get(walked).status == family.mother.get(past).status == 200
    )
    give(family, f"org:{Organization.objects.get(code=PAEDIATRIC.code).pk}", "TREAT")
    for link in (searched, walked, past):
        answer = family.mother.get(link)
        assert answer.status == 400 and "page link" in answer.issue["diagnostics"], answer
    assert family.mother.search("Observation", _count="2").next


@pytest.mark.G("07")
def test_a_freeze_ends_token_and_page_links(family: Neighbourhood) -> None:
    for _ in range(3):
        family.father.made(weight(HANA))
    link = family.father.search("Observation", _count="2").next
    assert link and active(family.father.token)
    found = Guardianship.objects.get(person=family.demo.people["ichiro"], subject=HANA)
    severing.freeze(
        guardianship_id=found.pk, by=family.demo.people["sato"], reason=next(iter(FreezeReason)), now=timezone.now()
    )
    assert not active(family.father.token)
    assert family.father.get(link).status == 401  # his token ended with it
    assert b"Quantity" not in family.father.get("Observation").content


@pytest.mark.IT("12")
def test_stopping_everything_leaves_the_family_what_is_theirs(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    ENDINGS["stopped"](family, Grant())
    assert active(family.mother.token) and len(family.mother.search("Observation").ids) == 1
    assert active(family.father.token)


@pytest.mark.spec("RFC 7662", "2.2", "who, for whom and in which context")
def test_introspection_tells_the_context(family: Neighbourhood) -> None:
    key = b64encode(f"{demo.RESOURCE_SERVER}:{demo.secret_of(demo.RESOURCE_SERVER)}".encode()).decode()
    told = Client().generic(
        "POST", "/oauth/introspect", urlencode({"token": family.father.token}), content_type=FORM,
        headers={"authorization": f"Basic {key}"},
    ).json()  # fmt: skip
    assert told["patient"] == str(HANA) and told["sub"] == str(family.demo.people["ichiro"].pk)
    assert told["fhirUser"].rsplit("/", 1)[0].endswith("/RelatedPerson") and told["iss"]
    assert told["acr"] == "aal3" and told["auth_time"] and told["exp"] and told["scope"] and told["client_id"]
