"""Patient `$immunization-recommendation` and `$immunization-status`: what the vaccination table says. Both are our own.

The table is quoted, never an order: each answer says by which rules it was made, that it rests on what the caller can
see, and whom to ask. Whoever has died has no plan, and nothing is missed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from phr.care.dates import attained
from phr.care.immunizations import Person, maternal, plan
from phr.care.rules import Rules
from phr.care.windows import Illness
from phr.fhir import vaccination, wire
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.outcome import Issue, Problem, as_json
from phr.records import body, caring, measuring, systems
from phr.records.caring import Seen
from phr.records.gateway import Records
from phr.records.measuring import Pregnancy

NOTHING = "案内する予防接種はありません。The table has nothing for this person on that day."
YOUNGEST = 120  # months of age below which nobody is asked about a pregnancy
INPUTS = (In("date", "date"), In("long-illness-ended", "date"))


@operation(
    "immunization-recommendation",
    on=("Patient",),
    levels={"instance"},
    definition=f"{systems.OWN}/OperationDefinition/immunization-recommendation",
    inputs=INPUTS,
)
def recommendation(records: Records, ask: Ask) -> bytes:
    """An ImmunizationRecommendation as of `date` (today in Japan): what may be given next, by disease.

    Of a pregnancy that goes on, what is given in it stands there too; after a loss nothing of it does.
    `long-illness-ended`: for 長期療養特例, the day the reason ended, as doctor and municipality decided.
    """
    seen, rules, day = _asked(records, ask)
    if seen is None:
        return _nothing()
    found = plan(seen.person, day=day, rules=rules)
    if pregnant := _pregnancy(records, seen.person, ask.id, day):
        records.log_extract(f"${ask.operation}", pregnant.found)
        lines = maternal(pregnant.expected.on, seen.person.given, day=day, rules=rules)
        found = replace(found, lines=(*found.lines, *lines))
    made = vaccination.recommendation(found, rules, patient=str(ask.id), unread=len(seen.unread), now=records.now)
    return body.write(made) if made["recommendation"] else _nothing()


@operation(
    "immunization-status",
    on=("Patient",),
    levels={"instance"},
    definition=f"{systems.OWN}/OperationDefinition/immunization-status",
    inputs=INPUTS,
)
def status(records: Records, ask: Ask) -> bytes:
    """A collection of ImmunizationEvaluations: what each dose up to `date` came to, for each disease."""
    seen, rules, day = _asked(records, ask)
    if seen is None:
        return _nothing()
    found = plan(seen.person, day=day, rules=rules)
    entries = vaccination.evaluations(found, rules, patient=str(ask.id))
    return wire.bundle("collection", [b'{"resource":%s}' % body.write(entry) for entry in entries])


def _asked(records: Records, ask: Ask) -> tuple[Seen | None, Rules, date]:
    """The person as seen (None: has died), the rules and the day. Logged. Raises Problem, NotFound."""
    admitted(records, "Patient", "r")
    admitted(records, "Immunization", "s")
    assert ask.id is not None
    subject = records.patient(ask.id)
    day = _day(ask, "date") or caring.today(records.now)
    ended = _day(ask, "long-illness-ended")
    rules = caring.rules(day)
    try:
        seen = caring.person(records, subject, rules, (Illness(ended),) if ended else ())
    except caring.NoBirthDate:
        text = "生年月日が分からないため計算できません。Without the whole date of birth nothing can be said."
        raise Problem(422, "business-rule", text, "Patient.birthDate") from None
    except caring.Deceased:
        return None, rules, day
    if day < seen.person.birth:
        raise refused("date", "生まれる前の日です。It is before birth.")
    records.log_extract(f"${ask.operation}", seen.found)
    return seen, rules, day


def _pregnancy(records: Records, person: Person, id: str | None, day: date) -> Pregnancy | None:
    """The pregnancy of somebody who may have one, as far as the caller may see it."""
    if person.sex == "male" or day < attained(person.birth, YOUNGEST) or id is None:
        return None
    return measuring.pregnancy(records, records.patient(id), visits=(), day=day)


def _day(ask: Ask, name: str) -> date | None:
    text = ask.one(name)
    if text is None:
        return None
    if len(text) != len("2026-04-01"):
        raise refused(name, "年月日まで必要です。A whole date is needed.")
    found = date.fromisoformat(text)
    if not caring.FIRST <= found.year <= caring.LAST:
        raise refused(name, "計算できない年です。A year that is not reckoned with.")
    return found


def _nothing() -> bytes:
    return as_json([Issue("informational", NOTHING, severity="information")])
