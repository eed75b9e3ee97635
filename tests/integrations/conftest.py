"""The family with Patients in the record, and Callers for its members."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from consent.decide import Caller, Capacity
from consent.models import Subject
from consent.scope import Door
from phr.records.gateway import Records
from tests.consent.people import People, people

ALL = (Door("*", "cruds"),)


def patient(subject: Subject, name: str, kana: str, gender: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": str(subject.pk), "name": [{"text": name}, {"text": kana}], "gender": gender,
        "birthDate": str(subject.birth_on),
    }  # fmt: skip


def clinic(family: People) -> Caller:
    return Caller(client="clinic", capacity=Capacity.SYSTEM, purpose="TREAT", doors=ALL, organization=family.clinic.pk)


@pytest.fixture
def family(db: None, now: datetime) -> People:
    """The people of the consent tests; Hana is 見本花子 of the sample notebooks, as far as record 1 goes."""
    made = people(now)
    Records.opened_by(clinic(made), now=now).create_all(
        [
            patient(made.hana, "見本 花子", "ミホン ハナコ", "female"),
            patient(made.ren, "見本 蓮", "ミホン レン", "male"),
            patient(made.yuki_subject, "見本 雪", "ミホン ユキ", "female"),
        ],
        keep_ids=True,
    )
    return made


@pytest.fixture
def mother(family: People) -> Caller:
    """Yuki, with an app that may do everything for Hana."""
    return Caller(
        client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=ALL, person=family.yuki.pk,
        subject=family.hana.pk,
    )  # fmt: skip


@pytest.fixture
def father(family: People, mother: Caller) -> Caller:
    return replace(mother, person=family.ichiro.pk)
