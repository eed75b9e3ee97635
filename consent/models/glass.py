"""Emergency access (break-glass): one clinician, one record, a while. And what looking at it afterwards found."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from consent.models.people import Organization, Person, Subject


class EmergencyAccess(models.Model):
    """One opening. The reasons' texts are sealed under the record's key; the log holds their codes only.

    A token names this row (`phr.smart.models.Launch.glass`), and it is looked at on every request.
    """

    class Reason(models.TextChoices):
        UNCONSCIOUS = "unconscious"  # cannot be asked
        LIFE_THREAT = "life-threat"
        MINOR_ALONE = "minor-alone"  # no guardian can be reached
        POISONING = "poisoning"
        LABOUR = "labour"
        OTHER = "other"

    class Outcome(models.TextChoices):
        JUSTIFIED = "justified"
        UNJUSTIFIED = "unjustified"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=16)
    step = models.PositiveSmallIntegerField(default=1)  # 1 the emergency set, 2 the whole record
    reason = models.CharField(max_length=16, choices=Reason.choices)
    text = models.BinaryField()
    full_reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    full_text = models.BinaryField(null=True)
    opened_at = models.DateTimeField()
    full_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)  # ended before its time
    review_due_at = models.DateTimeField()
    reviewed_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("opened_at")), name="emergency_ends"),
            models.CheckConstraint(condition=Q(step=1) | ~Q(full_reason=""), name="whole_record_has_its_own_reason"),
            models.CheckConstraint(
                condition=Q(reviewed_by=None) | ~Q(reviewed_by=F("person")), name="nobody_reviews_oneself"
            ),
        ]
        indexes = [
            models.Index(fields=["person", "opened_at"], name="emergencies_of_person"),
            models.Index(fields=["organization", "opened_at"], name="emergencies_of_organization"),
            models.Index(fields=["review_due_at"], condition=Q(reviewed_at=None), name="emergencies_to_review"),
        ]
