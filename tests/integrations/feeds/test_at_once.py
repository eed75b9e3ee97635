"""Several at once: two runs of the same facts, messages of one person, a link while a file comes in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from consent.models import Organization
from integrations import feeding, running
from integrations.models import KnownItem, LocalNumber, Unlinked, WaitingItem
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.feeds import doses, town
from tests.integrations.feeds.town import HANA, REN, brought, caller, counts, pieces

pytestmark = pytest.mark.django_db(transaction=True)


def together(*deeds: Callable[[], Any]) -> list[Any]:
    """Do them in threads of their own that begin at once; what each returned or raised."""
    gate, found = threading.Barrier(len(deeds)), [None] * len(deeds)

    def does(place: int, deed: Callable[[], Any]) -> None:
        gate.wait()
        try:
            found[place] = deed()
        except Exception as error:  # noqa: BLE001  told to the test
            found[place] = error  # type: ignore[call-overload]
        finally:
            connection.close()

    threads = [threading.Thread(target=does, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not [error for error in found if isinstance(error, Exception)], found
    return found


def lines(numbers: Sequence[int]) -> str:
    whose = (f"0001,{HANA}", f"0002,{REN}")
    return "".join(f"{whose[n % 2]},2026-03-{1 + n % 28:02d},{n},,{'S' if n % 3 else ''}\n" for n in numbers)


def test_two_runs_with_the_same_facts_write_each_once(family: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "CHUNK", 7)
    now = timezone.now()
    one = brought(lines(range(56)), organization=family.city, now=now, run=False)
    other = brought(lines(range(55, -1, -1)), organization=family.city, now=now, run=False)
    together(*(lambda run=run: running.run(run.pk, clock=lambda: now) for run in (one, other)))
    for run in (one, other):
        run.refresh_from_db()
        assert (run.state, run.done, run.problems) == ("done", 56, [])
    facts = Resource.objects.filter(type="Immunization")
    assert (facts.count(), KnownItem.objects.count()) == (28, 28)
    assert LocalNumber.objects.count() == 2
    assert Resource.objects.filter(type="Practitioner").count() == 1
    told = one.created + other.created
    assert told == 29, "whoever came second found it there"


def test_messages_about_one_child_at_once_are_all_kept(family: People) -> None:
    now = timezone.now()
    office = Organization.objects.get(pk=family.city.pk)

    def sends(n: int) -> Any:
        text = f"0001,{HANA},2026-03-{1 + n:02d},L{n},,S\n"
        return feeding.deposit(doses, pieces(text), organization=office, by=caller(office), now=now)

    found = together(*(lambda n=n: sends(n) for n in range(6)))
    assert [out.results[0].what for out in found] == ["stored"] * 6
    assert Resource.objects.filter(type="Immunization").count() == 6


def test_the_same_message_at_once_is_one_fact(family: People) -> None:
    now = timezone.now()
    office = Organization.objects.get(pk=family.city.pk)
    text = f"0001,{HANA},2026-03-01,L,,\n"

    def sends() -> Any:
        return feeding.deposit(doses, pieces(text), organization=office, by=caller(office), now=now)

    found = together(*[sends] * 5)
    assert sorted(out.results[0].what for out in found) == ["stored", *["unchanged"] * 4]
    assert Resource.objects.filter(type="Immunization").count() == 1


def test_unknown_people_at_once_wait_once(family: People) -> None:
    now = timezone.now()
    office = Organization.objects.get(pk=family.city.pk)
    text = f"0800,{HANA},2026-03-01,L,,\n0900,{REN},2026-03-01,L,,\n"

    def sends() -> Any:
        return feeding.deposit(doses, pieces(text), organization=office, by=caller(office), now=now)

    together(*[sends] * 4)
    assert (Unlinked.objects.count(), WaitingItem.objects.count()) == (2, 2)


def test_what_is_corrected_by_two_at_once_ends_as_one_of_them(family: People) -> None:
    now = timezone.now()
    brought(f"0001,{HANA},2026-03-01,L0,,2\n", organization=family.city, now=now)
    runs = [
        brought(f"0001,{HANA},2026-03-01,{lot},,{more}\n", organization=family.city, now=now, run=False)
        for lot, more in (("L1", ""), ("L2", "2"))
    ]
    together(*(lambda run=run: running.run(run.pk, clock=lambda: now) for run in runs))
    said = {(r["lotNumber"], r["status"]) for r in town.contents(family.city, now)}
    assert said in ({("L2", "completed")}, {("L1", "completed"), ("L0", "entered-in-error")},
                    {("L1", "completed"), ("L2", "entered-in-error")})  # fmt: skip
    for run in runs:
        run.refresh_from_db()
        assert (run.state, counts(run).get("refused_items")) == ("done", None)
