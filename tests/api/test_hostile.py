"""Whatever the desk or a recipient's system sends, the answer is a clear 4xx, never a fault of the server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.access.rows_provisions import ROWS
from tests.api.test_institution import Desk
from tests.api.test_provisions import JSON, World, world
from tests.family import Neighbourhood, encoded
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
