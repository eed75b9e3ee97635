"""Every field is declared personal or plain; a new one fails here until it is."""

from __future__ import annotations

from consent.personal import DECLARED, PERSONAL, PLAIN, disagreements


def test_every_field_of_the_app_is_declared() -> None:
    assert disagreements("consent", DECLARED) == []


def test_an_undeclared_or_vanished_field_is_told() -> None:
    changed = {**DECLARED, "Grant": {"id": PLAIN, "gone": PLAIN}}
    told = disagreements("consent", changed)
    assert "undeclared: Grant.root" in told
    assert "no such field: Grant.gone" in told
    assert "undeclared: Person.name" in disagreements("consent", {})


def test_what_leads_to_a_person_is_personal() -> None:
    assert set(DECLARED["Organization"].values()) == {PLAIN}
    assert DECLARED["Person"]["name"] is PERSONAL
    for model, field in (("Guardianship", "person"), ("Grant", "given_by"), ("Provision", "subject")):
        assert DECLARED[model][field] is PERSONAL
