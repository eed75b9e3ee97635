"""Why can, or can't, somebody see this? For doors and pages: asked of a record that is open to who asks.

Only what the asker sees herself is explained; everything else is absent to her, here as elsewhere. The person and her
guardians may ask about others, and are told which consents speak; whoever else asks, asks about himself, and is told
only what lets him in. What is said of another person's consents (a resource about two) is the answer, not the consent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from consent import effective
from consent.asking import FAMILY
from consent.decide import Caller, Capacity, Deny, InForce, Permit, decide
from consent.explain import Explanation, Step, explain
from consent.in_force import in_force_for
from consent.models import Grant, Organization
from consent.reason_words import WORDS
from consent.reasons import Rule
from consent.refusal import Because, Refusal
from consent.scope import ACTION_OF, Category, Door, Facts, GrantRow, Purpose, level_of
from phr.records.gateway import Records

LETTERS = {"access": "r", "collect": "c", "correct": "u"}
SOMEBODY = -2  # an author who is nobody in particular
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class About:
    """Whom the question is about: "" = who asks; "person:7", "org:3" or "class:clinic". `action`: of `LETTERS`."""

    actor: str = ""
    purpose: str = ""
    action: str = "access"


@dataclass(frozen=True, slots=True)
class Told:
    """One rule that spoke, in its words; `grants`: (id, version) of the consents it rests on; `on`: what else."""

    permits: bool
    rule: Rule
    words: str
    grants: tuple[tuple[int, int], ...] = ()
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    permitted: bool
    told: tuple[Told, ...]


def of_resource(records: Records, type: str, id: str, about: About) -> Answer:
    """About one resource. It is read, and the reading logged. Raises NotFound or Gone as a read does, and Refusal."""
    asked = _asked(records, about)
    facts = records.read(type, id).facts
    return asked.answer(facts)


def of_record(records: Records, id: str, about: About) -> dict[Category, Answer]:
    """About a record: what of each category would pass, were it written today by somebody else.

    The Patient is read, and the reading logged. Raises NotFound or Gone as a read does, and Refusal.
    """
    asked = _asked(records, about)
    subject = UUID(records.read("Patient", id).id)
    examples = {c: _example(c, subject, records.now) for c in Category}
    if records.caller.capacity is not Capacity.SELF:  # what is hidden from a guardian, she is not told who else sees
        examples = {c: facts for c, facts in examples.items() if records.may_see(facts)}
    answers = {c: asked.answer(facts) for c, facts in examples.items()}
    return answers if asked.everything else {c: a for c, a in answers.items() if a.permitted}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, settled. `everything`: what stands against the caller is told too; `named`: what rules rest on."""

    decision: Permit | Deny
    letter: str
    everything: bool
    named: bool
    subject: UUID | None

    def answer(self, facts: Facts) -> Answer:
        rows: Iterable[GrantRow] = ()
        if isinstance(self.decision, Permit) and self.decision.scope.grants:
            rows = effective.rows_for(facts.subjects, self.decision.scope.names(permit=False))
        found = explain(self.decision, facts, letter=self.letter, rows=tuple(rows))
        return Answer(found.permitted, tuple(self._told(found)))

    def _told(self, found: Explanation) -> Iterator[Told]:
        steps = [s for s in found.steps if self.everything or s.permits]
        versions = _versions(steps)
        for step in steps:
            own = self.named and step.subject in (None, self.subject)
            on = step.reason.on if own else ()
            grants = tuple(versions[name] for name in on if name in versions)
            rest = tuple(name for name in on if not name.startswith("grant:"))
            yield Told(step.permits, step.reason.rule, WORDS[step.reason.rule], grants, rest)


def _versions(steps: Iterable[Step]) -> dict[str, tuple[int, int]]:
    names = {n for s in steps for n in s.reason.on if n.startswith("grant:")}
    rows = Grant.objects.filter(pk__in=[int(n.removeprefix("grant:")) for n in names])
    return {f"grant:{pk}": (pk, version) for pk, version in rows.values_list("pk", "version")}


def _asked(records: Records, about: About) -> _Asked:
    if about.action not in LETTERS:
        raise Refusal(f"知らない行為です / one of {', '.join(LETTERS)}", place="action")
    caller, now = records.caller, records.now
    letter = LETTERS[about.action]
    family = caller.capacity in FAMILY and caller.subject is not None
    if about.actor in ("", *(n for n in caller.actors if n.startswith("person:"))):
        mine = replace(caller, purpose=about.purpose or caller.purpose)
        decision = decide(mine, in_force_for(mine, now=now), now)
        return _Asked(decision, letter, caller.capacity is Capacity.SELF, family, caller.subject)
    if not family:
        raise Refusal("自分のことだけ尋ねられます / only about oneself", place="actor", because=Because.FORBIDDEN)
    other, standing = _other(caller, about, now)
    return _Asked(decide(other, standing, now), letter, True, True, caller.subject)


def _other(caller: Caller, about: About, now: datetime) -> tuple[Caller, InForce]:
    """Somebody else at this record, with a token for everything: what would the decision say?"""
    kind, _, name = about.actor.partition(":")
    blank = replace(caller, doors=(Door("*", "".join(ACTION_OF)),), person=None, organization=None, glass=None)
    care = about.purpose or Purpose.TREAT
    match kind:
        case "person" if name.isdecimal() and len(name) < 19:
            # As a proxy: whether she is a guardian, and how that stands, is told to nobody (G-05, G-07).
            other = replace(blank, capacity=Capacity.PROXY, person=int(name), purpose=about.purpose or Purpose.FAMRQT)
            standing = in_force_for(other, now=now)
            return other, standing if standing.grants else replace(standing, person_active=True)
        case "org" if name.isdecimal() and len(name) < 19:
            other = replace(blank, capacity=Capacity.SYSTEM, organization=int(name), purpose=care)
            return other, in_force_for(other, now=now)
        case "class" if name in Organization.Kind.values:
            other = replace(blank, capacity=Capacity.SYSTEM, organization=0, purpose=care)
            standing = replace(
                in_force_for(caller, now=now), person_active=True, organization_state="active",
                organization_kind=name, class_from=ALWAYS, recipient=None, grants=True,
            )  # fmt: skip
            return other, standing
    raise Refusal("person:…、org:…、class:… のどれか / one of person:…, org:…, class:…", place="actor")


def _example(category: Category, subject: UUID, now: datetime) -> Facts:
    """A resource of one category, of today, written by nobody in particular."""
    mask = int(category)
    return Facts("Observation", "", (subject,), mask, level_of(mask), now, now, author=SOMEBODY)
