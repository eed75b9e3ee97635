"""What nobody may be reminded of again: after the loss of a pregnancy, everything about that pregnancy.

Whoever tells or reminds about a pregnancy names its episode and asks here; `notices.tell` does. Why it is silent
stands in the mother's record alone.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from consent.models import Silence, Subject


def keep(subject: Subject, about: str, *, now: datetime) -> None:
    """From now on nothing is told about this. `about`: the id of an EpisodeOfCare. Once is enough."""
    Silence.objects.get_or_create(subject=subject, about=about, defaults={"since": now})


def kept(subject: UUID, about: str) -> bool:
    """Whether it is silent. `subject`: the id of the record. An unnamed pregnancy is silent once any of hers is."""
    found = Silence.objects.filter(subject_id=subject)
    return (found.filter(about=about) if about else found).exists()


def all_of(subject: UUID) -> dict[str, datetime]:
    """The episode each silence of hers is about, and since when."""
    return dict(Silence.objects.filter(subject_id=subject).values_list("about", "since"))
