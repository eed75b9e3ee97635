"""What a deed says when it will not be done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consent.refusal import Refusal


def refused(deed: Callable[[], object]) -> Refusal:
    """The refusal of this deed; fails where it is done."""
    with pytest.raises(Refusal) as found:
        deed()
    return found.value
