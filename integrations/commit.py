"""Writing planned resources through the gateway, so that what is there already is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction

from integrations.incoming import Plan, Resource
from integrations.problems import Problem
from integrations.wording import say
from phr.records import body
from phr.records.gateway import Conflict, Forbidden, Gone, Invalid, NotFound, Records, Unprocessable


@dataclass(slots=True)
class Written:
    """What became of a chunk. `names`: the `Type/id`s that were created or updated."""

    names: set[str] = field(default_factory=set)
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unsound: list[Problem] = field(default_factory=list)

    @property
    def problems(self) -> list[Problem]:
        return [say("left-out", type=kind, count=count) for kind, count in self.left_out.items()] + self.unsound


def commit(records: Records, resources: Sequence[Resource], plan: Plan) -> Written:
    """Write one chunk with its Provenance. Call inside a transaction; what fails by row is left out and named.

    A resource whose id is taken is unchanged, unless the plan calls its type updatable. One the owner deleted stays so.
    """
    written = Written()
    for batch in (resources, None):
        rows = plan.trail(frozenset(written.names)) if batch is None else batch
        if batch is not None and not _tells(batch, plan):
            written.unchanged += len(batch)
            continue
        _write(records, rows, plan, written, counted=batch is not None)
    return written


def _tells(rows: Sequence[Resource], plan: Plan) -> bool:
    """Whether there is anything in the chunk but evidence and what follows it."""
    return any(f"{r['resourceType']}/{r['id']}" not in plan.evidence | plan.follows.keys() for r in rows)


def lock_record(subject: object) -> None:
    """Let imports for one person follow each other to the end of the transaction, so that they cannot deadlock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"import|{subject}"])


def _write(records: Records, rows: Sequence[Resource], plan: Plan, written: Written, *, counted: bool) -> None:
    try:
        stored = records.create_all(rows, keep_ids=True) if rows else []
    except (Conflict, Forbidden, Unprocessable, Invalid):
        pass  # some of them: find out which
    else:
        written.names.update(s.reference for s in stored)
        written.created += len(stored) if counted else 0
        return
    for row in rows:
        name = f"{row['resourceType']}/{row['id']}"
        if name in plan.evidence and not written.names:
            written.unchanged += counted
        elif plan.follows.get(name, name) in written.names | {name}:
            _write_one(records, row, plan, written, counted=counted)
        else:
            written.unchanged += counted


def _write_one(records: Records, row: Resource, plan: Plan, written: Written, *, counted: bool) -> None:
    name = f"{row['resourceType']}/{row['id']}"
    try:
        records.create_all([row], keep_ids=True)
    except Conflict:
        changed = row["resourceType"] in plan.updatable and _replaced(records, row)
        written.updated += changed
        written.unchanged += counted and not changed
        written.names.update({name} if changed else ())
    except (Forbidden, Unprocessable):
        written.left_out[row["resourceType"]] += 1
    except Invalid as error:
        where = ", ".join(p.expression for p in error.problems[:3])
        written.unsound.append(say("not-sound", type=row["resourceType"], where=where))
    else:
        written.names.add(name)
        written.created += counted


def _replaced(records: Records, row: Resource) -> bool:
    """Whether a newer reading replaced a first version nobody has touched since."""
    try:
        with transaction.atomic():
            current = records.read(row["resourceType"], row["id"])
            if current.version != 1 or _same(body.parse(current.body or b"{}"), row):
                return False
            return records.update(row["resourceType"], row["id"], row, if_match=1).version > 1
    except (NotFound, Gone, Forbidden, Unprocessable, Invalid):
        return False


def _same(stored: Resource, row: Resource) -> bool:
    """Compared without `meta`, which the record stamps, and as JSON, which keeps every digit."""
    plain = [body.parse(body.write({k: v for k, v in r.items() if k != "meta"})) for r in (stored, row)]
    return plain[0] == plain[1]
