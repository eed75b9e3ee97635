"""What the trust tells somebody: the inbox that apps and pages show, and what a recipient must acknowledge."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from consent.models.people import Organization, Person, Subject


class Notice(models.Model):
    """One notice to one person or one organisation. `detail`: ids and codes only, as in the log."""

    kind = models.CharField(max_length=32)  # consent.notices.Kind
    person = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")
    subject = models.ForeignKey(Subject, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)
    acknowledged_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False, organization__isnull=True)
                | Q(person__isnull=True, organization__isnull=False),
                name="notice_has_one_reader",
            )
        ]
        indexes = [
            models.Index(fields=["person", "-at"], name="notices_of_person"),
            models.Index(fields=["organization", "-at"], name="notices_of_organization"),
        ]
