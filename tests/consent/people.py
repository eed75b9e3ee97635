"""The invented family of the tests and the desks around it, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from consent import guardianship
from consent.models import Guardianship, Organization, Person, Subject


@dataclass
class People:
    """Hana is 7, Ren was born a month ago; the teenager and the adult have logins of their own."""

    hana: Subject
    ren: Subject
    yuki_subject: Subject
    teen_subject: Subject
    yuki: Person  # the mother
    ichiro: Person  # the father
    mei: Person  # the aunt: family, no authority
    teen: Person  # 16
    sato: Person  # officer of city A
    kondo: Person  # officer of city B
    mori: Person  # doctor of the clinic
    ken: Person  # school nurse
    clinic: Organization
    city: Organization
    other_city: Organization
    school: Organization


def people(now: datetime) -> People:
    """Create them. The mother and the father are verified guardians of all three children."""
    clinic = Organization.objects.create(name="見本クリニック", kind="clinic", code="1312345678", class_from=now)
    city = Organization.objects.create(name="見本市", kind="municipality", code="131016", class_from=now)
    other_city = Organization.objects.create(name="別の市", kind="municipality", code="131024", class_from=now)
    school = Organization.objects.create(name="見本小学校", kind="school", code="B113210000", class_from=now)
    hana, ren, yuki_subject, teen_subject = (
        Subject.objects.create(birth_on=born, created_at=now)
        for born in (date(2018, 6, 1), date(2026, 3, 1), date(1990, 5, 5), date(2010, 1, 15))
    )

    def person(username: str, name: str, **more: object) -> Person:
        return Person.objects.create(username=username, name=name, **more)

    made = People(
        hana, ren, yuki_subject, teen_subject,
        yuki=person("yuki", "見本 雪", own_subject=yuki_subject), ichiro=person("ichiro", "見本 一郎"),
        mei=person("mei", "見本 芽衣"), teen=person("teen", "見本 空", own_subject=teen_subject),
        sato=person("sato", "佐藤", organization=city), kondo=person("kondo", "近藤", organization=other_city),
        mori=person("mori", "森", organization=clinic), ken=person("ken", "健", organization=school),
        clinic=clinic, city=city, other_city=other_city, school=school,
    )  # fmt: skip
    for parent in (made.yuki, made.ichiro):
        for child in (hana, ren, teen_subject):
            linked(made, parent, child, now)
    return made


def linked(people: People, parent: Person, child: Subject, now: datetime) -> Guardianship:
    return guardianship.link(
        person=parent, subject=child, kind=Guardianship.Kind.PARENT, evidence=Guardianship.Evidence.BIRTH_NOTICE,
        starts_on=(now - timedelta(days=20)).date(), review_on=(now + timedelta(days=365)).date(),
        by=people.sato, now=now - timedelta(days=20),
    )  # fmt: skip
