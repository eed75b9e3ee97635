"""A rule file is checked while it is read: every mistake is said with its place."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phr.care.rule_file import RuleFileError, read, read_folder
from phr.care.rules import diseases, rules_at
from phr.care.tables import DATA

SHIPPED = (DATA / "immunization_rules.json").read_bytes()
KNOWN = frozenset(diseases())


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    content = msgspec.json.decode(SHIPPED)
    change(content)
    return msgspec.json.encode(content)


def vaccine(content: dict[str, Any], id: str) -> dict[str, Any]:
    return next(v for v in content["vaccines"] if v["id"] == id)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("version"), "version"),
        (lambda c: c.update(valid_from="2026-13-01"), "$.valid_from"),
        (lambda c: c.update(valid_until="2020-01-01"), "valid_until lies before valid_from"),
        (lambda c: vaccine(c, "BCG").update(age_until="1 year"), "$.vaccines[7].age_until"),
        (lambda c: vaccine(c, "BCG").update(colour="red"), "colour"),
        (lambda c: vaccine(c, "BCG").update(disease=["TBC"]), "BCG: disease TBC is unknown"),
        (lambda c: vaccine(c, "BCG").update(series=[]), "BCG: needs either series or by_start_age"),
        (lambda c: vaccine(c, "MR1").update(id="BCG"), "BCG is there twice"),
        (lambda c: vaccine(c, "HEPB")["series"].pop(1), "HEPB: a series of 2 has the doses [1, 3]"),
        (
            lambda c: vaccine(c, "HEPB")["series"][1]["min_gap_days"].update({"from": 3}),
            "HEPB: dose 2 waits for dose 3",
        ),
        (lambda c: vaccine(c, "HPV4")["finish_with"].update(vaccine="HPV11"), "finish_with HPV11 is unknown"),
        (lambda c: vaccine(c, "HPV9")["window"].pop("from"), "window fiscal-years needs from and until"),
        (lambda c: c["exceptions"][0].update(vaccines=["JE9"]), "exception je-1995: JE9 is unknown"),
        (lambda c: c["exceptions"][0].update(born=["2007-04-01", "1995-04-02"]), "born ends before it begins"),
        (lambda c: c["exceptions"][0].pop("age"), "needs either age or dates"),
        (lambda c: c["long_illness"]["not_covered"].append("XX"), "long_illness: XX is unknown"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[dict[str, Any]], object], said: str) -> None:
    with pytest.raises(RuleFileError, match=r"^rules\.json: ") as error:
        read(changed(change), name="rules.json", diseases=KNOWN)
    assert said in str(error.value)


def test_no_json_at_all() -> None:
    with pytest.raises(RuleFileError, match=r"rules\.json"):
        read(b"\xff{", name="rules.json", diseases=KNOWN)


def test_the_newest_file_valid_on_the_day_answers(tmp_path: Path) -> None:
    (tmp_path / "immunization_rules.json").write_bytes(SHIPPED)
    later = changed(lambda c: c.update(version="2027.04", valid_from="2027-04-01"))
    (tmp_path / "immunization_rules-2027.json").write_bytes(later)
    found = {
        day: rules_at(date.fromisoformat(day), tmp_path).file.version
        for day in ("2020-01-01", "2027-03-31", "2027-04-01")
    }
    assert found == {"2020-01-01": "2026.04", "2027-03-31": "2026.04", "2027-04-01": "2027.04"}


def test_a_folder_with_next_years_file_alone_leaves_today_as_it_was(tmp_path: Path) -> None:
    later = changed(lambda c: c.update(version="2027.04", valid_from="2027-04-01"))
    (tmp_path / "immunization_rules-2027.json").write_bytes(later)
    found = [rules_at(date.fromisoformat(day), tmp_path).file.version for day in ("2026-11-21", "2027-04-01")]
    assert found == ["2026.04", "2027.04"]


def test_a_file_of_the_same_day_goes_before_the_shipped_one_and_one_that_ended_answers_no_more(tmp_path: Path) -> None:
    own = changed(lambda c: c.update(version="own"))
    short = changed(lambda c: c.update(version="short", valid_from="2027-01-01", valid_until="2027-01-31"))
    for name, content in (("a", own), ("b", short)):
        (tmp_path / f"immunization_rules-{name}.json").write_bytes(content)
    found = [rules_at(date.fromisoformat(day), tmp_path).file.version for day in
             ("2026-12-31", "2027-01-01", "2027-01-31", "2027-02-01")]  # fmt: skip
    assert found == ["own", "short", "short", "own"]


def test_two_files_of_one_day_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"no immunization_rules"):
        read_folder(tmp_path, diseases=KNOWN)
    for name in ("immunization_rules.json", "immunization_rules-b.json"):
        (tmp_path / name).write_bytes(SHIPPED)
    with pytest.raises(RuleFileError, match="same day"):
        read_folder(tmp_path, diseases=KNOWN)
