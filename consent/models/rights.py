"""What a person asks of her own record: erasure, correction, moving away. And what stands against erasing: holds."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from consent.models.guardianship import JointAct
from consent.models.people import Organization, Person, Subject


class LegalHold(models.Model):
    """A duty to keep a record. While it stands nothing of that record is erased."""

    class Kind(models.TextChoices):
        MEDICAL_RECORD = "medical-record"  # 診療録の保存義務
        LITIGATION = "litigation"  # 訴訟
        AUTHORITY = "authority"  # 官公庁・裁判所の命令
        CHILD_PROTECTION = "child-protection"  # 児童保護: never told to anybody of the family

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="holds")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    reason = models.CharField(max_length=300)
    until = models.DateField(null=True)  # the first day without it; null = until it is lifted
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    placed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField()
    lifted_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["subject"], condition=Q(lifted_at__isnull=True), name="holds_standing")]


class Erasure(models.Model):
    """One request to erase a record: it waits out its time, then it is done. The row stays, as a pseudonym.

    With `closing` the contract itself ends (解約): nothing new is taken from the asking on, and what a law bids to
    keep is locked when its time has come.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        CANCELLED = "cancelled"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="erasures")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    capacity = models.CharField(max_length=10)
    state = models.CharField(max_length=9, choices=State.choices)
    joint_act = models.OneToOneField(JointAct, on_delete=models.PROTECT, related_name="+")
    closing = models.BooleanField(default=False)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField()  # not before
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject"], condition=Q(state="waiting"), name="one_open_erasure")
        ]


class Correction(models.Model):
    """A request to the organisation that wrote something. What is asked and answered is sealed by the subject's key."""

    class State(models.TextChoices):
        OPEN = "open"
        AMENDED = "amended"
        REFUSED = "refused"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    capacity = models.CharField(max_length=10)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=40)
    fhir_id = models.CharField(max_length=64)
    version = models.PositiveIntegerField()  # as it was when it was asked
    state = models.CharField(max_length=7, choices=State.choices, default=State.OPEN)
    asked = models.BinaryField()
    asked_key = models.SmallIntegerField()  # version of the data key
    asked_at = models.DateTimeField()
    answer = models.BinaryField(null=True)
    answer_key = models.SmallIntegerField(null=True)
    answered_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True)
    amended_version = models.PositiveIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "-asked_at"], name="corrections_of_subject"),
            models.Index(fields=["organization", "state"], name="corrections_at_desk"),
        ]


class Transfer(models.Model):
    """A record that moves to another trust: what was handed over, and the proof that it arrived."""

    class State(models.TextChoices):
        ASKED = "asked"
        PACKED = "packed"  # handed over; the record is locked here
        CONFIRMED = "confirmed"  # the other trust has signed for it
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    capacity = models.CharField(max_length=10)
    joint_act = models.OneToOneField(JointAct, on_delete=models.PROTECT, related_name="+")
    to = models.CharField(max_length=200)  # the address of the other trust
    state = models.CharField(max_length=9, choices=State.choices)
    asked_at = models.DateTimeField()
    packed_at = models.DateTimeField(null=True)
    manifest = models.JSONField(null=True)  # hashes and counts: no content
    receipt = models.JSONField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=Q(state__in=["asked", "packed"]), name="one_open_transfer"
            )
        ]
