"""Who allowed what: consents, and the rows that searches join."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consent.models.people import Organization, Person, Subject


class Grant(models.Model):
    """One normalised consent: a tree of Clauses as JSON. A version is never changed but for its pauses and its ending.

    A proposed one counts for nothing: it waits for the person. What an organisation sent has no giver yet.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed"
        ACTIVE = "active"
        PAUSED = "paused"
        INACTIVE = "inactive"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="grants")
    given_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    proposed_by = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    capacity = models.CharField(max_length=10, blank=True)  # in which capacity it was given: self, guardian
    version = models.PositiveIntegerField(default=1)
    supersedes = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT)
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    root = models.JSONField()
    reasons = models.JSONField(default=list)  # why it is only proposed: [{"place": …, "why": …}]
    ask = models.BooleanField(default=False)  # ask each time: permits only what was answered
    answered = ArrayField(models.UUIDField(), default=list)  # Provisions answered with yes
    terms = models.JSONField(default=dict)  # what was shown beside the tree: consent.receipts.Terms
    text_sha256 = models.CharField(max_length=64, blank=True)  # of the text that was shown
    consent_id = models.CharField(max_length=64, blank=True, db_index=True)  # its Consent in the record
    paused_by = models.ForeignKey(Person, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    projected = models.CharField(max_length=8, blank=True)  # the state that Consent tells; another one: to be swept
    given_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=("proposed", "inactive")) | models.Q(given_by__isnull=False),
                name="grant_in_force_has_a_giver",
            )
        ]


class EffectiveGrant(models.Model):
    """Grants flattened to rows that searches join; see `consent.scope.GrantRow` for the meaning."""

    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="rows")
    path = models.CharField(max_length=64)
    permit = models.BooleanField()
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, db_index=False)
    grantee = models.CharField(max_length=64)  # the first of `grantees`, "" = anyone: what the index finds
    grantees = ArrayField(models.CharField(max_length=64))
    purpose = models.CharField(max_length=16, null=True)
    action = models.CharField(max_length=10, null=True)
    category_masks = ArrayField(models.BigIntegerField())
    label_masks = ArrayField(models.BigIntegerField())
    level = models.SmallIntegerField()
    data_low = models.DateTimeField(null=True)
    data_high = models.DateTimeField(null=True)
    author = models.BigIntegerField(null=True)
    item = models.CharField(max_length=128, null=True)
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "grantee"], name="effective_by_subject"),
            models.Index(fields=["grantee", "subject"], name="effective_by_grantee"),
        ]
