"""A row that falls out still says of whom the place is not to be told."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from consent.models import Subject
from integrations import linking
from integrations.models import Unlinked
from integrations.municipal_csv import profile
from tests.consent.people import People
from tests.integrations.feeds.test_linking import desk
from tests.integrations.municipal_csv import files, test_import
from tests.integrations.municipal_csv.test_import import HEAD, brought, content, counts, row, told, town

family = test_import.family


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        pytest.param("\r\n", ",extra\r\n", "field-count", id="a column too many"),
        pytest.param(",2026/01/05 09:00\r\n", "\r\n", "field-count", id="a column too few"),
        pytest.param("131016,", "31016,", "zeros-lost", id="the town's code cut"),
        pytest.param("0000000123", "123", "zeros-lost", id="the number cut"),
    ],
)
def test_a_row_that_falls_out_hides_all_the_same(
    before: str, after: str, problem: str, family: People, now: datetime
) -> None:
    run = brought(HEAD + row(hidden="1").replace(before, after) + row(), family, now)
    assert (run.state, run.refused_items, told(run)) == ("done", 1, [problem])
    assert Subject.objects.get(pk=family.hana.pk).location_hidden
    assert content(town(family), now, family.hana.pk), "the sound row is taken"


@pytest.mark.parametrize(
    ("hidden", "before", "after"),
    [
        pytest.param("1", "131016,", "131024,", id="of another town"),
        pytest.param("1", "131016,0000000123", "131024,0000000123,more", id="of another town, and broken"),
        pytest.param("", "\r\n", ",extra\r\n", id="that does not ask for it"),
        pytest.param("1", "0000000123", "", id="of nobody"),
        pytest.param("1", "0000000123", "00000001234", id="of a number too long"),
    ],
)
def test_other_rows_that_fall_out_hide_nobody(
    hidden: str, before: str, after: str, family: People, now: datetime
) -> None:
    run = brought(HEAD + row(hidden=hidden).replace(before, after), family, now)
    assert counts(run) == {"refused_items": 1}
    assert not Subject.objects.filter(location_hidden=True).exists()
    assert not Unlinked.objects.exists()


def test_what_such_a_row_says_of_somebody_unknown_waits_for_her(family: People, now: datetime) -> None:
    broken = row("131016,0000000777,見本 花子,20240601,2", hidden="1").replace("\r\n", ",extra\r\n")
    assert counts(brought(HEAD + broken, family, now)) == {"refused_items": 1}
    [case] = linking.waiting_cases(by=desk(family.sato), now=now)
    assert (case.identity.birth_date, case.identity.not_disclosed, case.items) == ("2024-06-01", True, 0)
    linking.link(case=case.id, subject=family.hana.pk, by=desk(family.sato), now=now)
    assert Subject.objects.get(pk=family.hana.pk).location_hidden


def test_a_number_of_no_fixed_width_is_taken_as_it_stands() -> None:
    free = profile.checked(tomllib.loads(files.BASE.replace(", width = 7", "")), Path("sample.toml"))
    [item] = files.items(files.text_of([{"団体コード": "99001", "宛名番号": "123", "不開示": "1"}]), free)
    assert (item.identity.value, item.identity.not_disclosed) == ("123", True)
    assert [p.code for p in item.problems] == ["zeros-lost"]
