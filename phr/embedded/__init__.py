"""Real PostgreSQL and Redis servers without installing any: for the demo, the tests and the benchmarks.

The binaries come with two packages; nothing here stands in for a server. In production both servers are
named by DATABASE_URL and REDIS_URL and this package is not used.
"""

from phr.embedded.household import Household, default_folder, ensure, reset
from phr.embedded.postgres_server import postgres
from phr.embedded.redis_server import redis
from phr.embedded.trouble import (
    AlreadyRunning,
    BinariesMissing,
    BrokenFolder,
    DidNotStart,
    DiskFull,
    PortInUse,
    Trouble,
)

__all__ = [
    "AlreadyRunning", "BinariesMissing", "BrokenFolder", "DidNotStart", "DiskFull", "Household", "PortInUse",
    "Trouble", "default_folder", "ensure", "postgres", "redis", "reset",
]  # fmt: skip
