"""What was asked for, judged, handed over and came back; complaints, incidents; records of what we received."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from consent.models.grants import Grant
from consent.models.people import Organization, Person, Subject
from consent.models.trust import Mandate, Program, Recipient


class ProvisionRequest(models.Model):
    """A recipient's system asks, for one program. It names no person: consent does. Asked twice, it is one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="requests")
    asked_by = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="+")  # itself, or its processor
    client = models.CharField(max_length=100)
    reference = models.CharField(max_length=64)  # the recipient's own: asking again with it changes nothing
    sha256 = models.CharField(max_length=64)  # of what was asked
    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="requests")
    purpose = models.CharField(max_length=16)
    categories = models.BigIntegerField()
    level = models.SmallIntegerField()
    data_low = models.DateTimeField(null=True)
    data_high = models.DateTimeField(null=True)
    profiling = models.BooleanField(default=False)
    onward = models.BooleanField(default=False)
    intended = models.JSONField(default=dict)  # the intended use in terms of DUO: consent.duo.Intended
    until = models.DateTimeField()  # how long it means to fetch
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["asked_by", "reference"], name="asked_twice_is_one_request"),
        ]


class Provision(models.Model):
    """One handing-over of one person's data: asked -> permitted | refused -> delivered -> ended.

    The row is the provider record of APPI Art. 29 and stays three years, whatever becomes of the record itself.
    """

    class State(models.TextChoices):
        ASKED = "asked"  # waits for the person's answer
        PERMITTED = "permitted"
        REFUSED = "refused"
        DELIVERED = "delivered"
        ENDED = "ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(ProvisionRequest, on_delete=models.PROTECT, related_name="provisions")
    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="provisions")
    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="provisions")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="provisions")
    grant = models.ForeignKey(Grant, null=True, on_delete=models.PROTECT, related_name="provisions")
    grant_version = models.PositiveIntegerField(null=True)
    mandate = models.ForeignKey(Mandate, null=True, on_delete=models.PROTECT, related_name="provisions")
    judgement = models.JSONField()  # consent.judgement.Judgement: each input, its answer, its reason code
    state = models.CharField(max_length=9, choices=State.choices)
    purpose = models.CharField(max_length=16)
    categories = models.BigIntegerField()
    level = models.SmallIntegerField()
    data_low = models.DateTimeField(null=True)
    data_high = models.DateTimeField(null=True)
    items = ArrayField(models.CharField(max_length=160), default=list)  # what left: "Observation/abc/_history/1"
    made_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    delivered_at = models.DateTimeField(null=True)  # when the last of it left
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.CharField(max_length=64, blank=True)  # a code

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "subject"], name="one_provision_per_person_asked"),
            models.CheckConstraint(condition=~Q(judgement={}), name="provision_was_judged"),
            models.CheckConstraint(
                condition=Q(state__in=["asked", "refused", "ended"])
                | Q(grant__isnull=False, grant_version__isnull=False, mandate__isnull=False),
                name="provision_stands_on_consent",
            ),
        ]
        indexes = [
            models.Index(fields=["subject", "-made_at"], name="provisions_of_subject"),
            models.Index(fields=["recipient", "state"], name="provisions_of_recipient"),
        ]


class Benefit(models.Model):
    """What came back for what was provided (便益). `provision` None: to everybody who took part in the program."""

    class Kind(models.TextChoices):
        SERVICE = "service"
        RESULT = "result"
        COUPON = "coupon"
        STUDY_RESULT = "study-result"

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="benefits")
    provision = models.ForeignKey(Provision, null=True, on_delete=models.PROTECT, related_name="benefits")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    text_ja = models.CharField(max_length=400)
    text_en = models.CharField(max_length=400)
    yen = models.PositiveIntegerField(default=0)  # what it is worth, where it has a price
    came_at = models.DateTimeField()
    recorded_by = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")


class UsageReport(models.Model):
    """What a recipient did with what it got in one period. Due and not submitted: it is suspended (IT-22)."""

    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="reports")
    period_from = models.DateField()
    period_to = models.DateField()
    due_on = models.DateField()  # the last day
    submitted_at = models.DateTimeField(null=True)
    body = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["recipient", "period_from"], name="one_report_a_period")]


class DeletionCertificate(models.Model):
    """A recipient certifies that it deleted what one ended Provision gave it. Overdue: it is suspended (IT-22)."""

    provision = models.OneToOneField(Provision, on_delete=models.PROTECT, related_name="deletion")
    due_on = models.DateField()
    submitted_at = models.DateTimeField(null=True)
    method = models.CharField(max_length=100, blank=True)
    signed_by = models.CharField(max_length=100, blank=True)


class Incident(models.Model):
    """Something went wrong at us or at a recipient: a leak, a loss, a misuse (IT-32, IT-33)."""

    class Kind(models.TextChoices):
        LEAK = "leak"
        LOSS = "loss"
        DAMAGE = "damage"
        MISUSE = "misuse"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    recipient = models.ForeignKey(Recipient, null=True, on_delete=models.PROTECT, related_name="incidents")
    happened_from = models.DateTimeField()
    happened_to = models.DateTimeField()
    categories = models.BigIntegerField()
    summary_ja = models.CharField(max_length=1000)
    summary_en = models.CharField(max_length=1000)
    found_at = models.DateTimeField()
    reported_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    provisions = models.ManyToManyField(Provision, related_name="incidents")
    preliminary_due_at = models.DateTimeField()  # to the commission (個人情報保護委員会)
    final_due_at = models.DateTimeField()
    commission_told_at = models.DateTimeField(null=True)
    persons_told_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)


class Complaint(models.Model):
    """A ticket of the complaint desk (IT-16). Texts are sealed under the key of the record it is about."""

    class State(models.TextChoices):
        RECEIVED = "received"
        IN_REVIEW = "in-review"
        ANSWERED = "answered"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="complaints")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="complaints")
    provision = models.ForeignKey(Provision, null=True, on_delete=models.PROTECT, related_name="complaints")
    kind = models.CharField(max_length=16)
    text = models.BinaryField()
    answer = models.BinaryField(null=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.RECEIVED)
    received_at = models.DateTimeField()
    review_due_at = models.DateTimeField()
    answer_due_at = models.DateTimeField()
    reviewed_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    handled_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")


class Confirmation(models.Model):
    """The record of having checked what we received from somebody (APPI Art. 30): who, how acquired, what, when."""

    provider = models.CharField(max_length=200)
    address = models.CharField(max_length=200, blank=True)
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")
    acquired = models.CharField(max_length=64)  # how the provider came by it, a code
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="confirmations")
    run = models.UUIDField(null=True)  # the import
    sha256 = models.CharField(max_length=64, blank=True)  # of what was received
    categories = models.BigIntegerField(default=0)
    resources = models.PositiveIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "subject"], name="one_confirmation_per_import")]
