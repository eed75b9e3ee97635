"""Keys are rotated and the index is rebuilt without a byte of the record changing; the feed skips no late commit."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from threading import Event

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings

from phr.populate.cast import YUKI
from phr.records import changes, rebuild, store, vault
from phr.records.index import index_of
from phr.records.search import terms
from tests.family import Neighbourhood, at_home, pressure, weight
from tests.records.samples import observation

NEW = f"new-1:{base64.b64encode(b'n' * 32).decode()}"


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """As in a process that has just started."""
    for cached in (vault.unwrap, vault.parse_keyring, store._commons):
        cached.cache_clear()
    yield
    for cached in (vault.unwrap, vault.parse_keyring, store._commons):
        cached.cache_clear()


def everything() -> dict[tuple[str, int], bytes]:
    """Every version of every resource, opened."""
    with connection.cursor() as cursor:
        cursor.execute(store.select() + " WHERE r.body IS NOT NULL")
        rows = cursor.fetchall()
        cursor.execute(store.select_versions() + " WHERE v.body IS NOT NULL")
        rows += cursor.fetchall()
    found = [store.stored(row, store.facts_of_row(row)) for row in rows]
    return {(f.reference, f.version): f.body or b"" for f in found}


def index() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, terms, named, categories, level, clinical_low, clinical_high, marks FROM phr_resource"
            " ORDER BY id"
        )
        rows = cursor.fetchall()
        for table in (
            "resource_id, param, low, high FROM phr_range",
            "resource_id, param, text FROM phr_text",
            "resource_id, param, words FROM phr_words",
        ):
            cursor.execute(f"SELECT {table} ORDER BY 1, 2, 3")
            rows += cursor.fetchall()
    return rows


def one(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_data_keys_move_to_the_new_key(family: Neighbourhood, settings: Settings) -> None:
    made = family.mother.made(pressure())
    assert family.mother.put(made | {"status": "amended"}).status == 200
    before = everything()
    settings.PHR_KEYS = f"{NEW},{settings.PHR_KEYS}"
    out = StringIO()
    call_command("rotate_keys", stdout=out)
    assert "new-1" in out.getvalue()
    assert one("SELECT count(*) FROM consent_datakey WHERE kek <> 'new-1'") == 0
    settings.PHR_KEYS = NEW  # the old one is gone for good
    vault.unwrap.cache_clear()
    assert everything() == before
    vault.prove()


def test_bodies_are_sealed_anew(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    assert family.mother.put(made | {"status": "amended"}).status == 200
    before = everything()
    call_command("rotate_keys", "--data", stdout=StringIO(), stderr=StringIO())
    assert everything() == before
    for table in ("phr_resource", "phr_version"):
        assert one(f"SELECT count(*) FROM {table} WHERE key_version <> 2 AND body IS NOT NULL") == 0
    assert family.mother.get(f"Observation/{made['id']}/_history/1").json["status"] == "final"
    assert family.mother.made(weight())["resourceType"] == "Observation"  # written under the newest key


def test_a_wrong_key_refuses_to_start(family: Neighbourhood, settings: Settings) -> None:
    [name] = [part.split(":")[0] for part in settings.PHR_KEYS.split(",")]
    settings.PHR_KEYS = f"{name}:{base64.b64encode(b'x' * 32).decode()}"
    with pytest.raises(ImproperlyConfigured, match=r"does not open.*PHR_KEYS holds"):
        vault.prove()
    settings.PHR_KEYS = NEW
    with pytest.raises(ImproperlyConfigured, match="is not in PHR_KEYS"):
        vault.prove()
    with pytest.raises(CommandError, match="is not in PHR_KEYS"):
        call_command("rotate_keys")
    for text in ("", "a", "a:b", f"{NEW},{NEW}", "a:" + base64.b64encode(b"short").decode()):
        settings.PHR_KEYS = text
        with pytest.raises(ImproperlyConfigured, match="PHR_KEYS holds"):
            vault.prove()


def test_a_sealed_body_cannot_be_moved(family: Neighbourhood) -> None:
    first, second = family.mother.made(pressure()), family.mother.made(weight())
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE phr_resource SET body = (SELECT body FROM phr_resource WHERE fhir_id = %s) WHERE fhir_id = %s",
            [first["id"], second["id"]],
        )
    answer = family.mother.get(f"Observation/{second['id']}")
    assert answer.status == 500
    assert b"118" not in answer.content


def test_the_index_can_be_rebuilt(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    before, bodies = index(), everything()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE phr_resource SET terms = '{}', categories = 0, level = 1, clinical_low = NULL")
        cursor.execute("DELETE FROM phr_range")
        cursor.execute("DELETE FROM phr_text")
        cursor.execute("DELETE FROM phr_words")
        cursor.execute("UPDATE phr_resource SET named = 0")
    assert index() != before
    done = rebuild.reindex()
    assert done == one("SELECT count(*) FROM phr_resource WHERE NOT deleted")
    assert index() == before
    assert everything() == bodies
    call_command("reindex", "--type", "Patient", stdout=StringIO(), stderr=StringIO())
    assert index() == before


@pytest.mark.django_db(transaction=True)
def test_a_late_commit_is_read_later_never_skipped() -> None:
    family = at_home()
    start = changes.Mark(one("SELECT max(xid) FROM phr_change"), one("SELECT max(id) FROM phr_change"))
    written, go = Event(), Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                family.mother.made(pressure())
                written.set()
                assert go.wait(300)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(slow)
        assert written.wait(300)
        quick = family.clinic.made(weight())  # the quota of one app would have its second write wait
        assert changes.after(start) == []  # committed, but behind a transaction that still runs
        go.set()
        late.result()
    found = _all_after(start)
    assert [c.method for c in found] == ["create", "create"]
    assert quick["id"] == found[1].id
    assert changes.after(found[1].mark) == []
    assert {c.type for c in found} == {"Observation"}
    assert str(YUKI) not in str(found)


def _all_after(mark: changes.Mark) -> list[changes.Changed]:
    """Both changes, once the transactions of tests beside this one have ended."""
    for _ in range(3000):
        if len(found := changes.after(mark)) == 2:
            return found
        Event().wait(0.1)
    raise AssertionError("the feed did not move on")


@pytest.mark.spec("FHIR R4", "3.1.1.4.12", "a reference is found from what it names, and the other way")
def test_sql_joins_a_reference_to_what_it_names(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    about = made["subject"]["reference"].partition("/")[2]
    key = terms.reference_key("Observation", "subject", vault.index_key())
    joined = (
        "SELECT t.fhir_id FROM phr_resource t, phr_resource s WHERE s.fhir_id = %s AND t.type = 'Patient'"
        " AND s.terms @> ARRAY[t.named # %s]"
    )
    for step in ("written", "indexed anew"):
        with connection.cursor() as cursor:
            cursor.execute(joined, [made["id"], key])
            assert cursor.fetchall() == [(about,)], step
        one("UPDATE phr_resource SET named = 0 WHERE type = 'Patient' RETURNING id")
        rebuild.reindex()


def test_a_versioned_reference_is_kept_in_both_forms() -> None:
    kept = index_of(observation(subject={"reference": "Patient/a/_history/2"}), b"k" * 16).terms
    assert terms.reference_term("Observation", "subject", "Patient/a", b"k" * 16) in kept
    assert terms.version_term("Observation", "subject", "Patient/a/_history/2", b"k" * 16) in kept
