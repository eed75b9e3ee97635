"""What of tokens and credentials goes with an erased record."""

from __future__ import annotations

from uuid import UUID

from django.db.models import CASCADE, ManyToOneRel

from consent.models import Person
from phr.smart.models import Launch


def forget(subject: UUID, person: Person | None) -> None:
    """Remove every launch at this record, with its codes and tokens; and all that belongs to an account that empties.

    In the caller's transaction.
    """
    Launch.objects.filter(subject=subject).delete()
    if person is None:
        return
    Launch.objects.filter(person=person).delete()
    for relation in Person._meta.get_fields(include_hidden=True):
        # What is deleted with an account, by its models' own word.
        if isinstance(relation, ManyToOneRel) and relation.on_delete is CASCADE:
            relation.related_model._base_manager.filter(  # noqa: SLF001
                **{relation.field.name: person}
            ).delete()
