"""Storing an upload of measurements as the family's own words: each sample once, however often it is sent.

The whole upload is read before anything is stored, so a broken file stores nothing. Then what is new is created, in
chunks that are each one transaction: an upload that is cut off is finished by sending it again. A sample its source
changed later is updated; one that was deleted there becomes entered-in-error; what the family deleted here stays
deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from consent.decide import Caller, Capacity
from consent.models import Subject
from consent.scope import Door
from integrations.home import mapping
from integrations.home.mapping import Mapped
from integrations.home.parse import Read
from integrations.home.samples import Gone, Passed, Sample
from integrations.home.wording import say
from integrations.problems import Problem, Unreadable
from phr.records import body
from phr.records.gateway import Conflict, Forbidden, Invalid, Rejected
from phr.records.ingesting import Incoming
from phr.records.plausibility import Hint
from phr.records.store import Stored

MOST = 50_000  # measurements of one upload
CHUNK = 200
SHOWN = 100  # problems and hints
SLACK = timedelta(days=1)  # clocks of phones
ERRED = "entered-in-error"
Charge = Callable[[int, int], None]  # resources, requests


@dataclass(slots=True)
class Uploaded:
    """What became of an upload. `passed`: kinds that are not taken in -> how many."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    retracted: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    hints: list[tuple[str, Hint]] = field(default_factory=list)  # (reference, hint)


@dataclass(slots=True)
class _Upload:
    records: Incoming
    subject: UUID
    born: date | None
    done: Uploaded
    charge: Charge
    requests: int = 1  # the first chunk is the request, the others belong to it


def upload(
    read: Iterable[Read], *, subject: UUID, by: Caller, now: datetime, charge: Charge, since: date | None = None
) -> Uploaded:
    """Store what was read, of `since` and later. Raises Unreadable, Refused, NotFound, Forbidden, and
    what `charge` raises before a chunk that writes something.
    """
    records = Incoming.opened_by(by, now=now)
    if not any("c" in d.letters and d.type in ("*", "Observation") for d in by.doors):
        raise Forbidden("the token does not cover Observation 'c'")
    Incoming.opened_by(replace(by, doors=(Door("Patient", "r"),)), now=now).read("Patient", str(subject))
    done = Uploaded()
    samples, gone = _gathered(read, done, now=now, since=since)
    born = Subject.objects.filter(pk=subject).values_list("birth_on", flat=True).first()
    run = _Upload(records, subject, born, done, charge)
    mapped = list(_mapped(samples.values(), run))
    for chunk in _chunks(mapped):
        _store(chunk, run)
    for names in _chunks([mapping.observation_id(subject, one.source, one.uid) for one in gone]):
        _retract(names, run)
    return done


def _gathered(
    read: Iterable[Read], done: Uploaded, *, now: datetime, since: date | None
) -> tuple[dict[tuple[str, str], Sample], list[Gone]]:
    """Each sample once (of several, the one its source changed last); what was deleted. Raises Unreadable."""
    samples: dict[tuple[str, str], Sample] = {}
    gone: list[Gone] = []
    for one in read:
        match one:
            case Passed():
                done.passed[one.kind] += 1
            case Problem():
                done.problems.append(one)
            case Gone():
                gone.append(one)
            case Sample() if one.start > now + SLACK:
                done.problems.append(say("future", line=one.place))
            case Sample() if since is None or one.start.date() >= since:
                _keep(samples, one)
        if len(samples) + len(gone) > MOST or len(done.passed) > MOST:
            raise Unreadable([say("too-many", limit=MOST)])
        if len(done.problems) > SHOWN:
            done.problems[SHOWN:] = [say("more", limit=SHOWN)]
    return samples, gone


def _keep(samples: dict[tuple[str, str], Sample], one: Sample) -> None:
    earlier = samples.setdefault((one.source, one.uid.lower()), one)
    if one.said_at and (earlier.said_at is None or earlier.said_at < one.said_at):
        samples[one.source, one.uid.lower()] = one


def _mapped(samples: Iterable[Sample], run: _Upload) -> Iterator[Mapped]:
    for sample in samples:
        try:
            yield mapping.observation(
                sample, subject=run.subject, by_herself=run.records.caller.capacity == Capacity.SELF, born=run.born
            )
        except mapping.WrongUnit:
            run.done.problems.append(say("wrong-unit", line=sample.place))


def _chunks(things: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(things)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


# -- storing -------------------------------------------------------------------------------------------


def _store(chunk: Sequence[Mapped], run: _Upload) -> None:
    there = {one.id: one for one in run.records.there([("Observation", m.resource["id"]) for m in chunk])}
    new = [m for m in chunk if m.resource["id"] not in there]
    changed = [m for m in chunk if m.resource["id"] in there and _is_newer(m, there[m.resource["id"]])]
    run.done.unchanged += len(chunk) - len(new) - len(changed)
    _charge(len(new) + len(changed), run)
    with transaction.atomic():
        _create(new, run)
        for one in changed:
            _renew(one, there[one.resource["id"]], run)


def _charge(writes: int, run: _Upload) -> None:
    if writes:
        run.charge(writes, run.requests)
        run.requests = 0


def _create(new: Sequence[Mapped], run: _Upload) -> None:
    """All at once; where one is refused, one by one, so that it falls out alone."""
    try:
        with transaction.atomic():
            run.records.create_all([m.resource for m in new], keep_ids=True)
    except (Conflict, Forbidden, Rejected):
        for one in new:
            _create_one(one, run)
    else:
        run.done.created += len(new)
        for one in new:
            _told(one, run)


def _create_one(one: Mapped, run: _Upload) -> None:
    try:
        with transaction.atomic():
            run.records.create_all([one.resource], keep_ids=True)
    except Conflict:  # somebody sends the same at this moment
        run.done.unchanged += 1
    except (Forbidden, Rejected) as error:
        run.done.problems.append(_refusal(error))
    else:
        run.done.created += 1
        _told(one, run)


def _refusal(error: Exception) -> Problem:
    if isinstance(error, Forbidden):
        return say("may-not")
    places = [p.expression for p in error.problems[:3]] if isinstance(error, Invalid) else ["Observation"]
    return say("not-stored", where=", ".join(places))


def _is_newer(one: Mapped, current: Stored) -> bool:
    """Only what its source changed later than what stands here; never what the family deleted or called an error."""
    if _is_over(current):
        return False
    told, known = one.resource.get("issued"), body.parse(current.body or b"{}").get("issued")
    return told is not None and (known is None or datetime.fromisoformat(told) > datetime.fromisoformat(known))


def _is_over(current: Stored) -> bool:
    return current.deleted or body.parse(current.body or b"{}").get("status") == ERRED


def _renew(one: Mapped, current: Stored, run: _Upload) -> None:
    try:
        with transaction.atomic():
            after = run.records.update("Observation", current.id, one.resource)
    except (Forbidden, Rejected) as error:
        run.done.problems.append(_refusal(error))
        return
    changed = after.version != current.version
    run.done.updated += changed
    run.done.unchanged += not changed
    _told(one, run)


def _told(one: Mapped, run: _Upload) -> None:
    run.done.hints += [(f"Observation/{one.resource['id']}", hint) for hint in one.hints][: SHOWN - len(run.done.hints)]


def _retract(ids: Sequence[str], run: _Upload) -> None:
    there = run.records.there([("Observation", id) for id in ids])
    standing = [one for one in there if not _is_over(one)]
    run.done.unchanged += len(there) - len(standing)
    _charge(len(standing), run)
    with transaction.atomic():
        for current in standing:
            content = body.parse(current.body or b"{}")
            try:
                with transaction.atomic():
                    run.records.update("Observation", current.id, content | {"status": ERRED})
            except (Forbidden, Rejected) as error:
                run.done.problems.append(_refusal(error))
            else:
                run.done.retracted += 1
