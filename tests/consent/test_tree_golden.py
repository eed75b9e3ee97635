"""Golden cases 1 to 8 of the trust rules (section 4), as a tree and as rows. Case 8 is the sibling case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from consent.effective import rows_of
from consent.evaluate import Asked, eval_tree
from consent.scope import Category, Clause, Facts, Mark, by_rows, level_of
from tests.consent.strategies import HANA, NOW

ORG, DR_X, DR_Y, BOB = "org:1", "person:1", "person:2", "person:3"
Y2021 = (datetime(2021, 5, 1, tzinfo=UTC), datetime(2021, 5, 2, tzinfo=UTC))
Y2022 = (datetime(2022, 5, 1, tzinfo=UTC), datetime(2022, 5, 2, tzinfo=UTC))
IN_2022 = {"data_low": datetime(2022, 1, 1, tzinfo=UTC), "data_high": datetime(2023, 1, 1, tzinfo=UTC)}
CARE_PURPOSES = frozenset({"TREAT", "HPAYMT", "HOPERAT"})


def only(*values: str) -> frozenset[str]:
    return frozenset(values)


case1 = Clause(permit=True, purposes=CARE_PURPOSES, level=2)
case2 = Clause(
    permit=True,
    purposes=CARE_PURPOSES,
    level=2,
    clauses=(Clause(permit=True, actors=only(DR_X), labels=only("PSY")),),
)
case3 = Clause(permit=True, **IN_2022)
case4 = Clause(permit=True, clauses=(Clause(permit=False, **IN_2022),))
case5 = Clause(
    permit=True,
    clauses=(Clause(permit=False, actors=only(BOB), clauses=(Clause(permit=True, purposes=only("PATRQT")),)),),
)
case6 = Clause(permit=False, clauses=(Clause(permit=True, purposes=only("BTG"), level=3),))
case7 = Clause(
    permit=True,
    clauses=(Clause(permit=False, labels=only("PSY"), clauses=(Clause(permit=True, actors=only(DR_X)),)),),
)
case8 = Clause(
    permit=True,
    clauses=(
        Clause(permit=False, categories=only("LABORATORY"), clauses=(Clause(permit=True, actors=only(DR_X)),)),
        Clause(permit=False, actors=only(DR_X), purposes=only("HRESCH")),
    ),
)


# The eleventh sibling permits; its path "0.10" must not pass for a child of the second, "0.1".
silent = Clause(permit=False, actors=only("person:99"))
many = Clause(permit=True, clauses=(silent, Clause(permit=False), *[silent] * 8, Clause(permit=True)))


def seen(*names: str, time: tuple[datetime, datetime] = Y2022, declared: int = 0) -> Facts:
    mask = int(sum(Category[n] for n in names or ("LABORATORY",)))
    return Facts("Observation", "a", (HANA,), mask, level_of(mask, declared=declared), *time, author=1)


PSY, PSY_SDV = seen("PSY"), seen("PSY", "SDV")
PERMIT, DENY, SILENT = True, False, None  # SILENT: not applicable, and the default is deny

CASES = [
    ("1 ordinary, TREAT", case1, DR_X, "TREAT", seen(), PERMIT),
    ("1 declared R", case1, DR_X, "TREAT", seen(declared=3), SILENT),
    ("1 label", case1, DR_X, "TREAT", PSY, SILENT),
    ("1 HRESCH", case1, DR_X, "HRESCH", seen(), SILENT),
    ("2 drX PSY", case2, DR_X, "TREAT", PSY, PERMIT),
    ("2 drY PSY", case2, DR_Y, "TREAT", PSY, SILENT),
    ("2 drX PSY+SDV", case2, DR_X, "TREAT", PSY_SDV, SILENT),
    ("2 drX unlabelled", case2, DR_X, "TREAT", seen(), PERMIT),
    ("2 drX PSY HRESCH", case2, DR_X, "HRESCH", PSY, SILENT),
    ("3 2022", case3, DR_X, "TREAT", seen(), PERMIT),
    ("3 2021", case3, DR_X, "TREAT", seen(time=Y2021), SILENT),
    ("3 undated", case3, DR_X, "TREAT", seen(time=(None, None)), SILENT),
    ("4 2022", case4, DR_X, "TREAT", seen(), DENY),
    ("4 2021", case4, DR_X, "TREAT", seen(time=Y2021), PERMIT),
    ("4 undated", case4, DR_X, "TREAT", seen(time=(None, None)), DENY),
    ("4 overlaps 2022", case4, DR_X, "TREAT", seen(time=(Y2021[0], Y2022[1])), DENY),
    ("5 bob TREAT", case5, BOB, "TREAT", seen(), DENY),
    ("5 bob PATRQT", case5, BOB, "PATRQT", seen(), PERMIT),
    ("5 drX", case5, DR_X, "TREAT", seen(), PERMIT),
    ("6 BTG on R", case6, DR_X, "BTG", seen(declared=3), PERMIT),
    ("6 TREAT", case6, DR_X, "TREAT", seen(), DENY),
    ("7 drX PSY", case7, DR_X, "TREAT", PSY, PERMIT),
    ("7 drY PSY", case7, DR_Y, "TREAT", PSY, DENY),
    ("7 drX PSY+SDV", case7, DR_X, "TREAT", PSY_SDV, DENY),
    ("7 drY unlabelled", case7, DR_Y, "TREAT", seen(), PERMIT),
    ("8 drX TREAT obs", case8, DR_X, "TREAT", seen(), PERMIT),
    ("8 drX HRESCH obs", case8, DR_X, "HRESCH", seen(), DENY),
    ("8 drY TREAT obs", case8, DR_Y, "TREAT", seen(), DENY),
    ("8 drY TREAT other", case8, DR_Y, "TREAT", seen("IMMUNIZATION"), PERMIT),
    ("among eleven siblings deny wins", many, BOB, "TREAT", seen(), DENY),
    ("a ceiling above is no floor for the deny below",
     Clause(permit=True, level=2, clauses=(Clause(permit=False, actors=only(BOB)),)),
     BOB, "TREAT", seen("HOME"), DENY),
    ("an unknown purpose widens a deny", Clause(permit=False, purposes=only("???")), BOB, "TREAT", seen(), DENY),
    ("an unknown purpose narrows a permit", Clause(permit=True, purposes=only("???")), BOB, "TREAT", seen(), SILENT),
    ("an empty set is no wildcard", Clause(permit=True, actors=frozenset()), BOB, "TREAT", seen(), SILENT),
    ("an empty set of a deny is one", Clause(permit=False, actors=frozenset()), BOB, "TREAT", seen(), DENY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("root", "actor", "purpose", "facts", "verdict"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_golden_cases(root: Clause, actor: str, purpose: str, facts: Facts, verdict: bool | None) -> None:
    actors = frozenset({actor, ORG})
    asked = Asked(facts, actors, purpose, "access", NOW)
    assert eval_tree(root, asked) is verdict
    rows = rows_of(1, HANA, root)
    assert by_rows(rows, facts, actors=actors, purpose=purpose, action="access", now=NOW) is verdict


def test_the_first_label_moves_a_resource_into_a_class_a_grant_may_name() -> None:
    root = Clause(permit=True, labels=only("PSY"))
    asked = Asked(seen(), frozenset({DR_X}), "TREAT", "access", NOW)
    assert eval_tree(root, asked) is None
    assert eval_tree(root, Asked(PSY, frozenset({DR_X}), "TREAT", "access", NOW)) is True


PERMITS = {names: Clause(permit=True, categories=only(*names)) for names in (("VITAL",), ("VITAL", "GROWTH"))}


@pytest.mark.parametrize(
    ("names", "marks", "expected"),
    [(("VITAL",), 0, True), (("VITAL",), Mark.MIXED, None), (("VITAL", "GROWTH"), Mark.MIXED, True)],
)
def test_a_permit_names_the_category_of_every_part(names: tuple[str, ...], marks: int, expected: bool | None) -> None:
    """Views of one thing need one name, parts need all; a deny needs any (decisions/categories-of-parts.md)."""
    facts = replace(seen("VITAL", "GROWTH"), marks=int(marks))
    asked = Asked(facts, only(DR_X), "TREAT", "access", NOW)
    assert eval_tree(PERMITS[names], asked) is expected
    rows = rows_of(1, HANA, PERMITS[names])
    assert by_rows(rows, facts, actors=asked.actors, purpose="TREAT", action="access", now=NOW) is expected
    assert eval_tree(Clause(permit=False, categories=only("GROWTH")), asked) is False
