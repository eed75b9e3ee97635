"""Whatever the desk or a recipient's system sends, the answer is a clear 4xx, never a fault of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent import notices
from consent.models import Person
from phr.populate.cast import HANA
from phr.populate.store import link
from phr.smart import step_up
from tests.access.permissions import TABLE as PERMISSIONS
from tests.access.rows_provisions import ROWS
from tests.api.test_institution import Desk, T
from tests.api.test_provisions import JSON, World, world
from tests.family import Answer, Neighbourhood, encoded
from tests.institution import Trust

__all__ = ["world"]  # a fixture
PLACES = {"yuki": "59756b69-0000-8000-8000-000000000001"}
# What a field may hold of what nobody expects.
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=40), st.lists(st.integers(), max_size=3),
    st.sampled_from(["\x00", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "\ud7ff" * 300, "DUO:0000042",
                     "00000000-0000-0000-0000-000000000000", "9999-12-31", {"a": [None]}, 1e308, -0.0]),
)  # fmt: skip


@pytest.mark.parametrize("row", [r for r in ROWS if isinstance(r.body, dict) and r.body], ids=lambda r: r.route)
def test_odd_values_in_every_field(family: Neighbourhood, institution: Trust, world: World, row: Any) -> None:
    desk, path = Desk(institution.clerk), row.path.format(**PLACES)

    @settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(field=st.sampled_from(sorted(row.body)), value=ODD)
    def asked(field: str, value: Any) -> None:
        told = {**row.body, field: value}
        by_desk = desk.ask(row.method, path.removeprefix("/api/trust/"), told)
        by_system = world.app.ask(row.method, path, encoded(told), type=JSON)
        by_mother = family.mother.ask(row.method, path, encoded(told), type=JSON)
        for answer in (by_desk, by_system, by_mother):
            assert answer.status < 500, (told, answer)

    asked()


# -- every body of the API ---------------------------------------------------------------------------

BODIES = [row for row in PERMISSIONS if row.path.startswith(T) and row.method in {"POST", "PUT"}]
EVERYWHERE: list[Any] = [
    "\ud800", "a\x00b", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 2**63,
    [["\ud800"]], {"a": [None]}, "長" * 5000,
]  # fmt: skip


class Places(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return str(HANA) if name == "hana" else PLACES["yuki"]


def _odd_bodies(row: Any) -> Iterator[Any]:
    """All fields odd (each validator sees it), and each alone in a sound body (the deed behind sees it)."""
    sound = row.body if isinstance(row.body, dict) else {"reason": "x", "text": "x"}
    for value in EVERYWHERE[1:]:
        yield dict.fromkeys(sound, value)
    for n, field in enumerate(sound):
        yield {**sound, field: EVERYWHERE[1 + n % (len(EVERYWHERE) - 1)]}
    yield dict.fromkeys(sound, "\ud800")


@pytest.mark.parametrize("part", range(2))
def test_no_body_of_any_route_is_a_fault(
    family: Neighbourhood, institution: Trust, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(step_up, "require_fresh", lambda **_: None)
    clerk = Desk(institution.clerk)
    for row in BODIES[part::2]:
        path = row.path.format_map(Places())
        for told in _odd_bodies(row):
            content = json.dumps(told).encode()
            mark = transaction.savepoint()
            if "/desk/" in path:
                by = clerk if part % 2 else None
                answer = (
                    Answer(by.http.generic(row.method, path, content, content_type=JSON))  # type: ignore[arg-type]
                    if by else family.officer.ask(row.method, path, content, type=JSON)
                )  # fmt: skip
            else:
                answer = family.mother.ask(row.method, path, content, type=JSON)
            transaction.savepoint_rollback(mark)
            assert answer.status < 500, (str(row), content[:300], answer)


def test_half_a_character_is_refused_and_not_echoed(family: Neighbourhood) -> None:
    answer = family.mother.ask(
        "POST", f"{T}/records/{PLACES['yuki']}/complain", b'{"kind": "a\\ud800", "text": "x"}', type=JSON
    )
    assert answer.status == 400


@pytest.mark.parametrize("query", ["since=0001-01-01T00:00:00%2B14:00", "until=9999-12-31T23:59:59-14:00"])
def test_a_moment_that_no_calendar_reaches_is_refused(family: Neighbourhood, query: str) -> None:
    answer = family.mother.ask("GET", f"{T}/records/{PLACES['yuki']}/log?{query}")
    assert answer.status == 422


def test_an_office_reads_no_private_notices_and_no_apps(family: Neighbourhood) -> None:
    officer, now = Person.objects.get(username="sato"), timezone.now()
    notices.tell(notices.Kind.PASSWORD_CHANGED, to=[officer], subject=None, now=now)
    link(officer, HANA, since=date(2020, 1, 1), by=Person.objects.get(username="kondo"), now=now)
    notices.tell(notices.Kind.JOINT_ACT_ASKED, to=[officer], subject=HANA, now=now)
    assert family.officer.ask("GET", f"{T}/notices").json == []
    assert family.officer.ask("GET", f"{T}/apps").status == 403
    assert {told["kind"] for told in Desk(officer).ask("GET", "notices").json} >= {"password:changed"}
