"""Numbers of a person, by the API: linked with a code, seen, ended, by her family and nobody else."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from consent.models import Organization
from integrations import linking, taking
from integrations.models import LocalNumber
from phr.populate.cast import CITY_A, HANA, YUKI
from phr.records import systems
from tests.family import App, Neighbourhood


def call(app: App, what: str, *, method: str = "GET") -> Any:
    return app.ask(method, f"/api/trust/records/{what}", b"{}" if method == "POST" else None, type="application/json")


def test_a_number_is_linked_by_a_code_seen_and_ended(family: Neighbourhood) -> None:
    made = call(family.father, f"{HANA}/link-code", method="POST")
    assert (made.status, len(made.json["code"])) == (201, linking.CODE_LENGTH), made
    town = Organization.objects.get(code=CITY_A.code)
    number = linking.use_code(
        system=f"{systems.PERSON_AT_MUNICIPALITY}/{town.code}", value="0000000123", code=made.json["code"],
        by=taking.caller_for(town, client="town"), now=timezone.now(),
    )  # fmt: skip
    [told] = [n for n in call(family.father, f"{HANA}/numbers").json["numbers"] if n["id"] == number.pk]
    assert (told["organization"], told["value"], told["ground"]) == (town.name, "0000000123", "code")
    assert call(family.mother, f"{YUKI}/numbers/{number.pk}/end", method="POST").status == 404  # another record's
    assert call(family.stranger, f"{HANA}/numbers/{number.pk}/end", method="POST").status == 404
    assert LocalNumber.objects.filter(pk=number.pk, until=None).exists()
    assert call(family.father, f"{HANA}/numbers/{number.pk}/end", method="POST").status == 204
    assert number.pk not in [n["id"] for n in call(family.father, f"{HANA}/numbers").json["numbers"]]
    assert call(family.father, f"{HANA}/numbers/{number.pk}/end", method="POST").status == 404
