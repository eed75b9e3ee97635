"""What says that a pregnancy is over, in each form in which it may be said (phr/records/endings.py)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from phr.records import endings
from phr.records.endings import Episode
from phr.records.systems import ICD10, ICD10_JP, OWN_ITEM, OWN_VISIT

SPAN = (date(2026, 2, 24), date(2026, 12, 22))
WITHIN, BEFORE = date(2026, 4, 1), date(2020, 1, 1)
LOSS = {"resourceType": "Observation", "code": {"coding": [{"system": OWN_ITEM, "code": "loss"}]}}


def condition(code: str = "", text: str = "", system: str = ICD10, **more: Any) -> dict[str, Any]:
    coding = {"coding": [{"system": system, "code": code}]} if code else {}
    return {"resourceType": "Condition", "code": coding | ({"text": text} if text else {})} | more


@pytest.mark.parametrize(
    "told",
    [
        LOSS, condition("O03.9"), condition("O039", system=ICD10_JP), condition("O00.9"), condition("O36.4"),
        condition("P95"), condition("Z37.1"), condition(text="自然流産"), condition(text="稽留流産の手術"),
        condition("O04.9", clinicalStatus={"coding": [{"code": "resolved"}]}),
    ],
)  # fmt: skip
def test_a_loss_is_known_by_its_code_or_words(told: dict[str, Any]) -> None:
    assert endings.is_loss(told)


@pytest.mark.parametrize(
    "told",
    [
        condition("O20.0"), condition("O60"), condition(text="切迫流産"), condition(text="流産の既往"),
        condition("O03.9", verificationStatus={"coding": [{"code": "refuted"}]}), condition("O03", system="urn:x"),
        LOSS | {"valueBoolean": False}, {"resourceType": "Observation"}, {"resourceType": "Condition", "code": None},
    ],
)  # fmt: skip
def test_what_is_no_loss(told: dict[str, Any]) -> None:
    assert not endings.is_loss(told)


@pytest.mark.parametrize(
    ("said", "on"),
    [
        ({"effectiveDateTime": "2026-10-20"}, date(2026, 10, 20)),
        ({"effectivePeriod": {"start": "2026-10-20", "end": "2026-10-21T09:00:00+09:00"}}, date(2026, 10, 21)),
        ({"effectivePeriod": {"start": "2026-10-20"}, "issued": "2026-11-01T00:00:00Z"}, date(2026, 10, 20)),
        ({"effectiveInstant": "2026-10-20T09:00:00+09:00"}, date(2026, 10, 20)),
        ({"onsetPeriod": {"start": "2026-10"}}, date(2026, 10, 31)),
        ({"onsetAge": {"value": 30}, "recordedDate": "2026-10-20"}, date(2026, 10, 20)),
        ({}, None),
        ({"effectiveDateTime": "x"}, None),
    ],
)
def test_when_it_was(said: dict[str, Any], on: date | None) -> None:
    assert endings.day(said) == on


GOING, FINISHED = Episode(True, WITHIN, None), Episode(False, WITHIN, date(2026, 10, 20))
OLD, UNDATED = Episode(True, BEFORE, None), Episode(True, None, None)


@pytest.mark.parametrize(
    ("episodes", "silences", "over"),
    [
        ({}, {}, False),
        ({"a": GOING}, {}, False),
        ({"a": FINISHED}, {}, True),
        ({"a": FINISHED, "b": GOING}, {}, False),
        ({"a": Episode(False, BEFORE, BEFORE)}, {}, False),
        ({"a": Episode(False, None, None)}, {}, True),
        ({}, {"a": BEFORE}, True),
        ({"a": GOING}, {"a": WITHIN}, True),
        ({"a": GOING, "b": GOING}, {"a": WITHIN}, True),
        ({"a": UNDATED, "b": GOING}, {"a": WITHIN}, True),
        ({"a": GOING, "old": OLD}, {"a": WITHIN}, True),
        ({"old": OLD, "b": GOING}, {"old": WITHIN}, False),
        ({"b": GOING}, {"unseen": BEFORE}, False),
        ({"b": GOING}, {"unseen": WITHIN}, True),
    ],
)
def test_silence_and_a_finished_episode_hold_for_the_whole_pregnancy(
    episodes: dict[str, Episode], silences: dict[str, date], over: bool
) -> None:
    assert endings.is_over(SPAN, episodes, silences) is over


def test_an_episode_of_something_else_is_none() -> None:
    prenatal = {"status": "onhold", "type": [{"coding": [{"system": OWN_VISIT, "code": "prenatal"}]}]}
    assert endings.episode(prenatal | {"period": {"start": "2026-04-01"}}) == GOING
    assert endings.episode({"status": "active"}) is None
