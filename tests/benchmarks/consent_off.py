"""The service with its consent taken out, for one measurement. The switch is here and not in the product: no setting
and no operator can turn consent off. Tokens, the log and sealed bodies stay as they are.
"""

from __future__ import annotations

import sys
from typing import Any

from phr.wsgi import application  # sets Django up, so it comes first

__all__ = ["application"]


def _anybody(*_: Any, **__: Any) -> str:
    return "TRUE"


def _yes(*_: Any, **__: Any) -> bool:
    return True


def _no_rows(*_: Any, **__: Any) -> list[Any]:
    return []


def take_out() -> int:
    """Every module's `scope_sql` lets all through, every second look agrees, no grants are read. How many modules."""
    import phr.urls  # noqa: F401 - loads every door, so that nothing is left to be loaded
    from consent import scope
    from phr.records import scoping
    from phr.records.reading import Reading

    real, found = scoping.scope_sql, 0
    for module in list(sys.modules.values()):
        if getattr(module, "scope_sql", None) is real:
            module.scope_sql = _anybody  # type: ignore[attr-defined]
            found += 1
    scope.Scope.covers = _yes  # type: ignore[method-assign,assignment]
    Reading._grant_rows = _no_rows  # type: ignore[method-assign,assignment]
    return found


assert take_out() > 5
