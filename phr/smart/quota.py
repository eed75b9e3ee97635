"""How much one app may write for one person in a minute and in a day: counted in the database, so that every process
counts together and a restart forgets nothing.

A request is carried out where it fits into what is left of the day and the minute; one larger than a whole minute's
allowance takes a minute of its own. An upload that counts by requests comes in chunks of its own making: it goes on
while there is room at all. What is refused is not counted. Organisations' systems are not limited here.
Source: RFC 6585 §4.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from consent.decide import Caller, Capacity
from phr.smart.sealed import blind

JAPAN = ZoneInfo("Asia/Tokyo")  # a day is a day there
FAMILY = frozenset({Capacity.SELF, Capacity.GUARDIAN, Capacity.PROXY})
_SPEND = """
INSERT INTO phr_appwrites AS w (digest, day, in_day, minute, in_minute) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (digest) DO UPDATE SET
  in_day = excluded.in_day + CASE WHEN w.day = excluded.day THEN w.in_day ELSE 0 END,
  in_minute = excluded.in_minute + CASE WHEN w.minute = excluded.minute THEN w.in_minute ELSE 0 END,
  day = excluded.day, minute = excluded.minute
WHERE NOT (w.day = excluded.day AND w.in_day > %s) AND NOT (w.minute = excluded.minute AND w.in_minute > %s)
RETURNING 1
"""


class Spent(Exception):
    """Not now: `wait` seconds until there is room again. `most`: more than this never fits into a day."""

    def __init__(self, wait: int, most: int | None = None) -> None:
        super().__init__(f"the quota is spent; wait {wait} s")
        self.wait, self.most = wait, most


def spend(caller: Caller, resources: int, *, now: datetime, requests: int | None = None) -> None:
    """Count what a family's app is about to write. Raises Spent, counting nothing.

    `resources` count in the day; `requests` (else the resources too) in the minute: a whole upload may be one.
    """
    if caller.capacity not in FAMILY or resources <= 0:
        return
    at = now.astimezone(JAPAN)
    minute = at.replace(second=0, microsecond=0)
    digest = blind("app-writes", caller.client, str(caller.person))
    per_day, per_minute = settings.PHR_APP_WRITES_PER_DAY, settings.PHR_APP_WRITES_PER_MINUTE
    if requests is None and resources > per_day:
        raise Spent(1, most=per_day)
    in_minute = resources if requests is None else requests
    room = resources if requests is None else 1
    limits = (per_day - room, max(0, per_minute - room))  # what may have been written before
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, [digest, at.date(), resources, minute, in_minute, *limits])
        if cursor.fetchone():
            return
        cursor.execute("SELECT day = %s AND in_day > %s FROM phr_appwrites WHERE digest = %s",
                       [at.date(), limits[0], digest])  # fmt: skip
        row = cursor.fetchone()
    tomorrow = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    until = tomorrow if row and row[0] else minute + timedelta(minutes=1)
    raise Spent(max(1, int((until - at).total_seconds()) + 1))
