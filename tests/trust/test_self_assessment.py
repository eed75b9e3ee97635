"""The self-assessment (IT-31): from nothing, and from a year of work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from consent import grants
from consent.models import Grant, Person
from phr.populate.cast import YUKI
from phr.trust import assessing
from phr.trust.duties import duties
from tests.family import Neighbourhood, encoded
from tests.sealing import seal_all
from tests.trust.packages import package


def assessed(to: Path, **more: Any) -> tuple[dict[str, Any], str]:
    call_command("self_assessment", to=to, **more)
    told = json.loads((to / "self-assessment.json").read_text())
    return told, (to / "self-assessment.md").read_text()


@pytest.mark.IT("31")
def test_on_an_empty_database(db: None, tmp_path: Path) -> None:
    told, text = assessed(tmp_path)
    assert [duty["id"] for duty in told["duties"]] == list(duties())
    assert told["figures"]["consents"] == {"given": 0, "ended": 0, "now": {}}
    assert told["figures"]["log"]["verified"] is True
    for id, (ja, en) in duties().items():
        assert f"| {id} | {ja}<br>{en} |" in text


@pytest.mark.django_db(transaction=True)  # a seal takes what has been committed
@pytest.mark.IT("31")
def test_the_years_figures(family: Neighbourhood, tmp_path: Path) -> None:
    before, _ = assessed(tmp_path)
    yuki, now = Person.objects.get(username="yuki"), timezone.now()
    family.aunt.get(f"Patient/{YUKI}")
    package(family.mother, f"records/{YUKI}/disclosure")
    family.mother.ask("POST", f"/api/trust/records/{YUKI}/erasure/ask", encoded({}), type="application/json")
    grants.withdraw(grant=Grant.objects.get(subject=YUKI), by=yuki, reason="", now=now)
    seal_all(now=now)
    after, text = assessed(tmp_path)
    was, found = before["figures"], after["figures"]
    assert found["consents"]["ended"] == was["consents"]["ended"] + 1
    assert found["rights"]["disclosures"] == was["rights"]["disclosures"] + 1
    assert found["rights"]["erasures"] == {"waiting": 1}
    assert sum(found["refusals"].values()) > sum(was["refusals"].values())
    assert (found["log"]["verified"], found["log"]["problems"]) == (True, 0)
    assert found["log"]["head"] in text
    assert yuki.name not in text
    assert str(YUKI) not in text


@pytest.mark.django_db(transaction=True)
@pytest.mark.IT("31")
def test_it_tells_of_a_changed_log(family: Neighbourhood, tmp_path: Path) -> None:
    seal_all()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_auditentry DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE consent_auditentry SET purpose = 'X' WHERE id = (SELECT min(id) FROM consent_auditentry)"
        )
        cursor.execute("ALTER TABLE consent_auditentry ENABLE TRIGGER USER")
    told, _ = assessed(tmp_path)
    assert told["figures"]["log"]["verified"] is False


@pytest.mark.IT("31")
def test_marks_are_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text(
        "import pytest\npytestmark = pytest.mark.IT('31')\n"
        "@pytest.mark.G(7, '08')\ndef test_one(): ...\n"
        "@pytest.mark.IT('IT-14')\nclass TestTwo:\n    def test_in(self): ...\n"
        "def helper(): ...\n"
    )
    one, two = "tests/test_x.py::test_one", "tests/test_x.py::TestTwo::test_in"
    assert assessing.proofs(tmp_path / "tests") == {
        "G-07": [one], "G-08": [one], "IT-31": [one, two], "IT-14": [two],
    }  # fmt: skip


@pytest.mark.IT("31")
def test_where_it_cannot_be_written(db: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="Cannot be written"):
        call_command("self_assessment", to=tmp_path / "file" / "x")


@pytest.mark.IT("31")
def test_without_tests_it_proves_nothing(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="checkout of the release"):
        call_command("self_assessment", to=tmp_path / "to", tests=tmp_path / "nowhere")
    assert not (tmp_path / "to").exists()


@pytest.mark.IT("31")
def test_on_a_database_that_is_not_migrated(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**_: object) -> None:
        Grant.objects.raw("SELECT id FROM consent_nothing")[0]

    monkeypatch.setattr(assessing.governance, "report", missing)
    with pytest.raises(CommandError, match="not migrated"):
        call_command("self_assessment", to=tmp_path)


@pytest.mark.IT("31")
def test_it_says_how_the_tests_ended(db: None, tmp_path: Path) -> None:
    tests, results = tmp_path / "tests", tmp_path / "results.xml"
    tests.mkdir()
    (tests / "test_x.py").write_text(
        "import pytest\n"
        "@pytest.mark.IT('31')\ndef test_one(): ...\n@pytest.mark.IT('31')\ndef test_two(): ...\n"
        "@pytest.mark.G('07')\ndef test_three(): ...\n@pytest.mark.G('08')\ndef test_four(): ...\n"
    )
    results.write_text(
        '<testsuites><testsuite><testcase classname="tests.test_x" name="test_one[a]" time="1"/>'
        '<testcase classname="tests.test_x" name="test_two"><failure message="x">&lt;</failure></testcase>'
        '<testcase classname="tests.test_x" name="test_three"><properties/></testcase></testsuite></testsuites>'
    )
    told, text = assessed(tmp_path / "to", tests=tests, results=results)
    found = {duty["id"]: duty["result"] for duty in told["duties"]}
    assert (found["IT-31"], found["G-07"], found["G-08"], found["IT-14"]) == ("failed", "passed", "not run", "not run")
    assert "`tests/test_x.py::test_two` failed" in text
    results.write_text("<nothing/>")
    with pytest.raises(CommandError, match="Not the results"):
        call_command("self_assessment", to=tmp_path / "to", tests=tests, results=tmp_path / "none.xml")
    with pytest.raises(CommandError, match="Not the results"):
        call_command("self_assessment", to=tmp_path / "to", tests=tests, results=results)
