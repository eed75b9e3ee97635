"""What a sender may get wrong, or do on purpose: names of files, times to come, and what is steered too late."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from consent.refusal import Refusal
from integrations import feeding, holding, known, originals, running, steering, taking
from integrations.items import Identity, Item, Piece
from integrations.models import ImportRun
from integrations.provenance import places
from phr.records import body
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.test_feed_views import Token, send, token, woken
from tests.integrations.feeds.town import HANA, REN, brought, caller, contents, counts

__all__ = ["token", "woken"]
ONE = f"0001,{HANA},2019-01-10,L1,,\n"


def named(*names: str, family: People, now: datetime) -> ImportRun:
    pieces = [Piece(name, io.BytesIO(ONE.encode())) for name in names]
    run = taking.take(doses, pieces, organization=family.city, by=caller(family.city), now=now, wake=False)
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    return run


def test_the_name_of_a_file_is_cleaned() -> None:
    assert originals.clean("a\x00b\x1f\x85\u2028\udcff.csv") == "a" + "b".join(["\ufffd", "\ufffd" * 4]) + ".csv"
    assert originals.clean("見本.csv") == "見本.csv"
    assert originals.clean("あ" * 5000) == "あ" * (originals.LONGEST_NAME // 3)


@pytest.mark.parametrize(
    "names", [("a\x00b.csv",), ("a\x01b",), ("   ",), ("あ" * 5000,), ("\udcff.csv", "\udcfe.csv")]
)
def test_no_name_of_a_file_stops_a_run(names: tuple[str, ...], family: People, now: datetime) -> None:
    run = named(*names, family=family, now=now)
    assert (run.state, counts(run)["created"]) == ("done", 1)
    pieces = (Piece(name, io.BytesIO(ONE.encode())) for name in names)
    found = feeding.deposit(doses, pieces, organization=family.city, by=caller(family.city), now=now)
    assert [result.what for result in found.results][-1] == "unchanged"


def item(line: int, piece: str, *, said_at: str = "") -> Item:
    return Item(f"{piece}{line}", Identity("s", "1"), {}, line, piece, said_at)


def test_places_are_lines_and_parts_never_names() -> None:
    items = [item(n, "見本花子.csv") for n in (5, 3, 6)]
    assert places(items, {}) == "3,5-6"
    assert places([item(9, "b"), *items], {"見本花子.csv": 1, "b": 2}) == "part 1: 3,5-6; part 2: 9"


def test_nobody_reads_the_name_of_a_file_in_her_record(family: People, now: datetime) -> None:
    text = f"{ONE}0002,{REN},2026-03-20,L,,\n"
    pieces = [Piece("見本花子_0001.csv", io.BytesIO(text.encode()))]
    run = taking.take(doses, pieces, organization=family.city, by=caller(family.city), now=now, wake=False)
    running.run(run.pk, clock=lambda: now)
    row = Resource.objects.get(type="Provenance", subject=family.ren.pk)
    told = (Records.opened_by(caller(family.city), now=now).read("Provenance", row.fhir_id).body or b"").decode()
    assert "花子" not in told
    assert body.parse(told.encode())["entity"][0]["what"]["display"] == "2"


def lots(family: People, now: datetime) -> list[str]:
    return [one["lotNumber"] for one in contents(family.city, now)]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_says_no_time_hides_no_newer_time(at_once: bool, family: People, now: datetime) -> None:
    lines = [f"0001,{HANA},2019-01-10,{lot},\n" for lot in ("NEW,2025-02-02", "LATER,", "OLDER,2020-01-01")]
    for text in ["".join(lines)] if at_once else lines:
        brought(text, organization=family.city, now=now)
    assert lots(family, now) == ["LATER"]


def test_a_time_to_come_is_told_and_ignored(family: People, now: datetime) -> None:
    run = brought(f"0001,{HANA},2019-01-10,X,9999-12-31,\n", organization=family.city, now=now)
    assert [(p["code"], p["severity"]) for p in run.problems] == [("said-in-future", "warning")]
    brought(f"0001,{HANA},2019-01-10,Y,{now:%Y-%m-%d},\n", organization=family.city, now=now)
    assert lots(family, now) == ["Y"]


def test_times_of_every_form_are_compared_with_the_clock(now: datetime) -> None:
    for moment, believed in ((now, True), (now + timedelta(hours=20), True), (now + timedelta(days=2), False)):
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S+09:00", "%Y%m%d%H%M%S123"):
            said = f"{moment:{form}}"
            assert known.said(item(1, "a", said_at=said), now=now) == (said if believed else "")
    assert known.said(item(1, "a"), now=now) == ""


def test_who_cancels_is_not_undone_by_a_pause(family: People, now: datetime) -> None:
    run = brought(ONE, organization=family.city, now=now, run=False)
    holding.claim(run.pk, now=now)
    by = caller(family.city)
    steering.cancel(run=run.pk, by=by, now=now)
    for deed in (steering.pause, steering.resume):
        with pytest.raises(Refusal):
            deed(run=run.pk, by=by, now=now)
    running.run(run.pk, clock=lambda: now + timedelta(minutes=10))
    run.refresh_from_db()
    assert (run.state, counts(run)) == ("cancelled", {})


def test_a_form_of_several_parts_is_no_file(token: Token, woken: list[UUID]) -> None:
    data = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + ONE.encode() + b"\r\n--b--\r\n"
    assert send(token(), data, kind="multipart/form-data; boundary=b").status_code == 415
    assert not woken
