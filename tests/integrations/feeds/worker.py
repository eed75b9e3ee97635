"""A process that makes workers to be killed: `python -m tests.integrations.feeds.worker`, told by lines of JSON.

It never touches the database itself: every deed is done by a child, so that it outlives children and database.

    {"deed": "prepare", "rows": n, "children": n}   -> {"run": id}          an empty database gets a town and an input
    {"deed": "run", "run": id, "later": seconds}    -> {"pid": number}      goes on by itself
    {"deed": "sweep", "later": seconds, "broker": url}  -> {"woken": n}     messages to workers
    {"deed": "work", "later": seconds, "broker": url}   -> {"pid": number}  a Celery worker on that broker, no end
    {"deed": "count", "run": id}                    -> what stands in the database
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from datetime import date, timedelta
from typing import Any


def prepare(rows: int, children: int) -> dict[str, Any]:
    from uuid import uuid4

    from django.core.management import call_command
    from django.utils import timezone

    from consent.models import Organization
    from integrations import taking
    from integrations.items import Piece
    from phr.records.gateway import Records
    from tests.integrations.feeds import doses

    call_command("migrate", verbosity=0)
    now = timezone.now()
    town = Organization.objects.create(name="見本市", kind="municipality", code="131016", class_from=now)
    by = taking.caller_for(town, client="harness")
    Records.opened_by(by, now=now).create_all(
        [
            {
                "resourceType": "Patient", "id": str(uuid4()), "birthDate": "2020-01-01",
                "identifier": [{"system": doses.SYSTEM, "value": str(n)}],
            }
            for n in range(children)
        ],
        keep_ids=True,
    )  # fmt: skip
    text = lines(rows, children)
    run = taking.take(doses, [Piece("d.csv", io.BytesIO(text.encode()))], organization=town, by=by, now=now, wake=False)
    return {"run": str(run.pk)}


def lines(rows: int, children: int) -> str:
    first = date(2020, 1, 1)
    return "".join(f"{n % children},2020-01-01,,{first + timedelta(days=n // children)},L{n},,\n" for n in range(rows))


def run(id: str, later: float) -> None:
    from uuid import UUID

    from django.utils import timezone

    from integrations import feeding, running

    feeding.CHUNK = int(os.environ.get("TESTS_CHUNK", "200"))
    running.run(UUID(id), clock=lambda: timezone.now() + timedelta(seconds=later))


def told_later(later: float, broker: str) -> None:
    """In this process it is later, and messages go by that broker."""
    from django.utils import timezone

    from integrations import feeding
    from phr.celery import app

    now = timezone.now
    timezone.now = lambda: now() + timedelta(seconds=later)
    feeding.CHUNK = int(os.environ.get("TESTS_CHUNK", "200"))
    app.conf.broker_url = app.conf.broker_read_url = app.conf.broker_write_url = broker


def sweep() -> dict[str, Any]:
    from integrations import tasks

    return {"woken": tasks.sweep()}


def work() -> None:
    """As `celery worker --queues imports --pool solo`."""
    from phr.celery import app

    os.dup2(2, 1)  # what Celery prints is no answer
    quiet = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
    app.Worker(pool="solo", queues=["imports"], loglevel="CRITICAL", **quiet).start()


def count(run: str) -> dict[str, Any]:
    from collections import Counter

    from consent import prepared
    from consent.models import AuditEntry
    from integrations.models import ImportRun, KnownItem
    from phr.records import body, store
    from phr.records.models import Change, Resource, Version

    held = ImportRun.objects.get(pk=run)
    rows = prepared.fetch(f"{store.select()} WHERE r.type = 'Provenance'", [])
    told: Counter[str] = Counter()
    for row in rows:
        said = body.parse(store.stored(row, store.facts_of_row(row)).body or b"{}")
        told.update(t["reference"] for t in said["target"] if t["reference"].startswith("Immunization/"))
    written = AuditEntry.objects.filter(event="record:created").count()
    return {
        "state": held.state, "done": held.done, "created": held.created, "problems": held.problems,
        "facts": Resource.objects.filter(type="Immunization").count(), "known": KnownItem.objects.count(),
        "names": Resource.objects.filter(type="Immunization").values("fhir_id").distinct().count(),
        "versions": Version.objects.count(), "told_once": sum(n == 1 for n in told.values()),
        "told_more": sum(n > 1 for n in told.values()), "logged": written > 0,
        "changes": Change.objects.filter(resource__type="Immunization").count(),
    }  # fmt: skip


def child(order: dict[str, Any]) -> None:
    from django.conf import settings

    settings.INTEGRATIONS = ["tests.integrations.feeds.doses"]
    deed = order.pop("deed")
    if deed == "run":
        run(order["run"], order["later"])
        return
    if deed in ("sweep", "work"):
        told_later(order.pop("later"), order.pop("broker"))
    if deed == "work":
        work()
        return
    deeds: dict[str, Any] = {"prepare": prepare, "sweep": sweep, "count": count}
    try:
        answer = deeds[deed](**order)
    except Exception:  # noqa: BLE001  told to the test
        answer = {"failed": traceback.format_exc()}
    print(json.dumps(answer), flush=True)


def main() -> None:
    import django

    django.setup()
    import celery.apps.worker
    import celery.concurrency.solo  # noqa: F401

    import integrations.feeding
    import integrations.tasks  # noqa: F401
    import tests.integrations.feeds.doses  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                child(order)
            finally:
                os._exit(0)
        if order["deed"] in ("run", "work"):
            print(json.dumps({"pid": pid}), flush=True)
        else:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
