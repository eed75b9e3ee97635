"""Fixed statements of the hot path, prepared once per connection: parsing and planning them each time costs
more than running them.

Only for lookups by key, where a generic plan is the right one. A search must see its values to be planned
(decisions/prepared-statements.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import psycopg
from django.db import connection

# Django turns psycopg's own counting off (None), and with it `prepare=True`; so high a threshold is never reached.
NOT_BY_ITSELF = 1 << 30


def fetch(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a query on Django's connection, in its transaction if there is one. Raises django.db.DatabaseError."""
    with _cursor() as cursor, connection.wrap_database_errors:
        return cursor.execute(sql, params, prepare=True).fetchall()


def execute(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> None:
    """Run a statement that returns nothing; as `fetch`."""
    with _cursor() as cursor, connection.wrap_database_errors:
        cursor.execute(sql, params, prepare=True)


def _cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    raw = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection)
    if raw.prepare_threshold is None:
        raw.prepare_threshold = NOT_BY_ITSELF
    return psycopg.Cursor(raw)
