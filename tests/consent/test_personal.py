"""Every field is declared personal or plain; a new one fails here until it is."""

from __future__ import annotations

from consent.personal import DECLARED, PLAIN, disagreements, plain_fields


def test_every_field_of_the_app_is_declared() -> None:
    assert disagreements("consent", DECLARED) == []


def test_an_undeclared_or_vanished_field_is_told() -> None:
    changed = {**DECLARED, "Grant": {"id": PLAIN, "gone": PLAIN}}
    told = disagreements("consent", changed)
    assert "undeclared: Grant.root" in told
    assert "no such field: Grant.gone" in told
    assert "undeclared: Person.name" in disagreements("consent", {})


def test_what_a_list_may_show() -> None:
    assert plain_fields("Organization") == ["id", "name", "kind", "code", "state", "class_from"]
    assert "name" not in plain_fields("Person")
