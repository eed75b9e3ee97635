"""Loading, replacing and removing packages; every process notices; the command says what it did."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from phr.records.profiles import packages
from phr.records.profiles.archive import Unloadable
from phr.records.profiles.models import Canonical, Package
from tests.records.profiles.archives import VALUE_SET, packed
from tests.records.profiles.small import BASE, element, profile

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 1, tzinfo=UTC)
URL = VALUE_SET["url"]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    packages.forget()
    yield
    packages.forget()


def test_a_loaded_resource_is_found_by_url_and_version() -> None:
    assert packages.canonical(URL) is None
    done = packages.load(packed({"v.json": VALUE_SET | {"version": "2.1.0"}}), now=NOW)
    assert (done.name, done.resources, done.before, done.changed) == ("example.guide", 1, None, True)
    for found in (packages.canonical(URL), packages.canonical(f"{URL}|2.1.0"), packages.canonical(URL, "2.1")):
        assert found is not None
        assert found["url"] == URL
    assert packages.canonical(URL, "2.2.0") is None
    assert packages.canonical(URL, type="CodeSystem") is None
    assert packages.urls("ValueSet") == [URL]


def test_the_same_again_changes_nothing_and_another_version_replaces() -> None:
    first = packed({"v.json": VALUE_SET, "w.json": VALUE_SET | {"url": "http://example.org/w"}})
    packages.load(first, now=NOW)
    kept = Package.objects.get().pk
    assert packages.load(first, now=NOW).changed is False
    assert Package.objects.get().pk == kept
    done = packages.load(packed({"v.json": VALUE_SET | {"title": "new"}}, version="1.1.0"), now=NOW)
    assert (done.before, done.version) == ("1.0.0", "1.1.0")
    found = packages.canonical(URL)
    assert found is not None
    assert found["title"] == "new"
    assert packages.canonical("http://example.org/w") is None
    assert Canonical.objects.count() == 1


def test_nothing_is_half_loaded() -> None:
    packages.load(packed({"v.json": VALUE_SET}), now=NOW)
    with pytest.raises(Unloadable):
        packages.load(
            packed({"a.json": VALUE_SET | {"url": "http://example.org/a"}, "z.json": b"{"}, version="2.0.0"), now=NOW
        )
    assert [(p.name, p.version) for p in Package.objects.all()] == [("example.guide", "1.0.0")]
    assert Canonical.objects.count() == 1


def test_the_newest_version_of_a_url_answers() -> None:
    for name, version in (("one", "1.9.0"), ("two", "1.10.0"), ("three", "1.10.0-ballot"), ("four", "1.2.0")):
        packages.load(packed({"v.json": VALUE_SET | {"version": version}}, name=f"example.{name}"), now=NOW)
    found = packages.canonical(URL)
    assert found is not None
    assert found["version"] == "1.10.0"


def test_what_another_process_loads_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    packages.load(packed({"v.json": VALUE_SET}), now=NOW)
    assert packages.canonical(URL) is not None
    with connection.cursor() as cursor:  # as another process would: past what this one remembers
        cursor.execute("DELETE FROM phr_canonical")
        cursor.execute("DELETE FROM phr_package")
    monkeypatch.setattr(packages, "STALE_AFTER", 0.0)
    assert packages.canonical(URL) is None


def test_what_vanished_a_moment_ago_is_simply_not_there() -> None:
    packages.load(packed({"v.json": VALUE_SET}), now=NOW)
    assert URL in packages.directory()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM phr_canonical")
        cursor.execute("DELETE FROM phr_package")
    assert packages.canonical(URL) is None


def test_questions_about_unknown_urls_are_not_remembered() -> None:
    packages.directory()
    before = len(packages.directory())
    for n in range(50):
        assert packages.canonical(f"http://example.org/{n}") is None
    assert len(packages.directory()) == before


def test_r4_itself_is_there_without_any_package() -> None:
    found = packages.structure(BASE + "bp")
    assert found is not None
    assert found["type"] == "Observation"
    assert packages.structure(BASE + "bp|4.0.1") is found
    assert packages.structure(BASE + "bp|5.0.0") is None


# -- the command -----------------------------------------------------------------------------------


def run(*arguments: Any, warned: io.StringIO | None = None) -> str:
    out = io.StringIO()
    call_command("load_ig", *arguments, stdout=out, stderr=warned or io.StringIO())
    return out.getvalue()


def test_the_command_warns_of_what_will_not_work(tmp_path: Path) -> None:
    file = tmp_path / "guide.tgz"
    sliced_again = [element("Observation.category:a/b", min=1)]
    needs = {"hl7.fhir.r4.core": "4.0.1", "example.terms": "1.0.0"}
    odd, sound = profile("odd", "Observation", *sliced_again), profile("sound", "Observation")
    file.write_bytes(packed({"odd.json": odd, "sound.json": sound}, dependencies=needs))
    warned = io.StringIO()
    assert "2 resources" in run(str(file), warned=warned)
    lines = warned.getvalue().splitlines()
    assert len(lines) == 2
    assert "builds on example.terms" in lines[0]
    assert "StructureDefinition/odd" in lines[1]
    assert "Re-slicing" in lines[1]


def test_the_command_loads_lists_and_removes(tmp_path: Path) -> None:
    file = tmp_path / "guide.tgz"
    file.write_bytes(packed({"v.json": VALUE_SET}))
    assert "example.guide 1.0.0 loaded: 1 resources" in run(str(file))
    assert "is loaded already" in run(str(file))
    assert run("--list").split("\t")[:3] == ["example.guide", "1.0.0", "1"]
    file.write_bytes(packed({"v.json": VALUE_SET}, version="2.0.0"))
    assert "instead of 1.0.0" in run(str(file))
    assert "removed" in run("--remove", "example.guide")
    assert run("--list") == ""
    with pytest.raises(CommandError, match="is not loaded"):
        run("--remove", "example.guide")


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "bad.tgz"
    file.write_bytes(packed({"broken.json": b"{"}))
    with pytest.raises(CommandError, match=r"bad\.tgz: broken\.json: .*Nothing was changed"):
        run(str(file))
    with pytest.raises(CommandError, match="Cannot be read"):
        run(str(tmp_path / "none.tgz"))
    with pytest.raises(CommandError, match="Cannot be read"):
        run(str(tmp_path))
    assert Package.objects.count() == 0
