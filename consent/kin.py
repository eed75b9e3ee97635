"""Whether somebody of a desk is of the family whose affairs are before her: nobody decides about her own (G-06, G-08).

Kin of a record: the person herself, its guardians whatever the state of their link, the guardians of a child they
share and the other children of these, and whoever a consent of this record names. The deeds answer kin as they answer
anybody not entitled, before they look at any state: a frozen link is not told from one that stands.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from consent.models import Grant, Guardianship, Person


def is_kin(person: Person, subject: UUID) -> bool:
    """Whether a record is of the person's own family, or was opened (or closed) to her by name."""
    return subject in records_of(person) or _named(person, subject)


def are_kin(one: Person, other: Person) -> bool:
    """Whether two persons are the same, or of one family."""
    theirs = set(Guardianship.objects.filter(person=other).values_list("subject_id", flat=True))
    if other.own_subject_id is not None:
        theirs.add(other.own_subject_id)
    return one.pk == other.pk or any(is_kin(one, subject) for subject in theirs)


def records_of(person: Person) -> set[UUID]:
    """The records of a person's family: her own, her children's, their guardians' and these guardians' children's."""
    hers = Guardianship.objects.filter(person=person).values("subject")
    guardians = Guardianship.objects.filter(subject__in=hers).values("person")
    found = set(Guardianship.objects.filter(person__in=guardians).values_list("subject_id", flat=True))
    own = Person.objects.filter(Q(pk=person.pk) | Q(pk__in=guardians)).exclude(own_subject=None)
    return found | {id for id in own.values_list("own_subject_id", flat=True) if id is not None}


def _named(person: Person, subject: UUID) -> bool:
    """Whether a Grant of this record, of whatever state, names the person: one let in, or shut out."""
    told = Grant.objects.filter(subject=subject).annotate(told=Cast("root", TextField()))
    return told.filter(told__contains=f'"person:{person.pk}"').exists()
