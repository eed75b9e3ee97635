"""A process that makes workers to be killed: `python -m tests.integrations.feeds.worker`, told by lines of JSON.

It never touches the database itself: every deed is done by a child, so that it outlives children and database.

    {"deed": "prepare", "rows": n, "children": n}   -> {"run": id}          an empty database gets a town and an input
    {"deed": "run", "run": id, "later": seconds}    -> {"pid": number}      goes on by itself
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


def count(id: str) -> dict[str, Any]:
    from collections import Counter

    from consent import prepared
    from consent.models import AuditEntry
    from integrations.models import ImportRun, KnownItem
    from phr.records import body, store
    from phr.records.models import Change, Resource, Version

    held = ImportRun.objects.get(pk=id)
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
    try:
        answer = prepare(**order) if deed == "prepare" else count(order["run"])
    except Exception:  # noqa: BLE001  told to the test
        answer = {"failed": traceback.format_exc()}
    print(json.dumps(answer), flush=True)


def main() -> None:
    import django

    django.setup()
    import integrations.feeding
    import integrations.running  # noqa: F401
    import tests.integrations.feeds.doses  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                child(order)
            finally:
                os._exit(0)
        if order["deed"] == "run":
            print(json.dumps({"pid": pid}), flush=True)
        else:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
