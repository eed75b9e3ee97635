"""What operators watch: how much waits, how long, and what was given up. From the database, at the moment asked.

Text format of Prometheus. Counts, ages, kinds and states only: no person, record or organisation, no name of a file.
Requests are counted where they are answered (`integrations/counting.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, QuerySet
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily as Gauge

from consent.models import AuditBatch
from integrations.models import DeadLetter, ImportRun, Peer, PeerDelivery, Unlinked
from phr.records.jobs import ExportJob

MOST = 100_001  # unsealed lines that are counted; more are told as this many
PATIENCE = 1.0  # seconds for the broker
OPEN = ("accepted", "running", "waiting", "reported", "paused")
UNSEALED = """
SELECT count(*), min(at) FROM (
    SELECT at FROM consent_auditentry WHERE (xid, id) > (%s, %s) ORDER BY xid, id LIMIT %s
) due
"""


class Watched:
    """A collector: asked once, it answers from the database and the broker."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterator[Gauge]:
        yield from self._imports()
        exports = ExportJob.objects.values_list("state").annotate(n=Count("pk"))
        yield _gauge("exports", "Bulk exports.", ["state"], exports)
        yield from self._dead_letters()
        yield from self._waiting()
        yield from self._sealing()
        yield from _queues()

    def _imports(self) -> Iterator[Gauge]:
        runs = ImportRun.objects.all()
        counted = runs.values_list("state", "kind").annotate(n=Count("pk"))
        yield _gauge("imports", "Import runs.", ["state", "kind"], (((s, k), n) for s, k, n in counted))
        oldest = runs.filter(state__in=OPEN).values_list("state", "kind").annotate(since=Min("created_at"))
        ages = (((s, k), self._age(since)) for s, k, since in oldest)
        yield _gauge("import_oldest_seconds", "Age of the oldest open run.", ["state", "kind"], ages)
        failing = Peer.objects.filter(state=Peer.State.ACTIVE, failures__gt=0).count()
        yield _gauge("peers_failing", "Peers that could not be reached the last time.", [], [((), failing)])
        sent = PeerDelivery.objects.values_list("state").annotate(n=Count("pk"))
        yield _gauge("peer_deliveries", "Resources for peers.", ["state"], sent)

    def _dead_letters(self) -> Iterator[Gauge]:
        letters: QuerySet[DeadLetter] = DeadLetter.objects.filter(state=DeadLetter.State.WAITING)
        counted = letters.values_list("task", "reason").annotate(n=Count("pk"))
        yield _gauge(
            "dead_letters", "Work that was given up.", ["task", "reason"], (((t, r), n) for t, r, n in counted)
        )
        since = letters.aggregate(since=Min("since"))["since"]
        yield _gauge("dead_letter_oldest_seconds", "Age of the oldest.", [], [((), self._age(since))])

    def _waiting(self) -> Iterator[Gauge]:
        told = Unlinked.objects.filter(state=Unlinked.State.WAITING).aggregate(n=Count("pk"), since=Min("since"))
        yield _gauge("unlinked", "Numbers that wait for somebody to say whose they are.", [], [((), told["n"])])
        yield _gauge("unlinked_oldest_seconds", "Age of the oldest.", [], [((), self._age(told["since"]))])

    def _sealing(self) -> Iterator[Gauge]:
        last = AuditBatch.objects.order_by("-sequence").values_list("last_xid", "last_entry").first()
        with connection.cursor() as cursor:
            cursor.execute(UNSEALED, [*(last or (0, 0)), MOST])
            count, since = cursor.fetchone()
        yield _gauge("audit_unsealed", "Lines of the log that are not sealed yet.", [], [((), count)])
        yield _gauge("audit_seal_lag_seconds", "Age of the oldest of them.", [], [((), self._age(since))])

    def _age(self, since: datetime | None) -> float:
        return max((self.now - since).total_seconds(), 0.0) if since else 0.0


def _queues() -> Iterator[Gauge]:
    """Messages per queue. A broker that is away is told as such; everything else is still told."""
    names = [queue.name for queue in settings.CELERY_TASK_QUEUES]
    try:
        url = settings.REDIS_URL.replace("redis+socket://", "unix://", 1)  # as Celery and as the client spell it
        with redis.Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE) as broker:
            lengths = [((name,), broker.llen(name)) for name in names]
    except (redis.RedisError, ValueError):
        yield _gauge("broker_up", "Whether the broker answers.", [], [((), 0)])
        return
    yield _gauge("broker_up", "Whether the broker answers.", [], [((), 1)])
    yield _gauge("queue_messages", "Messages that no worker has taken.", ["queue"], lengths)


def _gauge(name: str, text: str, labels: list[str], rows: Iterable[tuple[object, object]]) -> Gauge:
    found = Gauge(f"tsumugi_{name}", text, labels=labels)
    for values, number in rows:
        told = values if isinstance(values, tuple) else (values,)
        found.add_metric([str(value) for value in told], float(str(number)))
    return found


def text(*, now: datetime) -> bytes:
    """Everything, as Prometheus reads it; requests from the files that all web processes share, where there are any."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Watched(now))  # type: ignore[arg-type]
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(registry) + generate_latest(REGISTRY)
