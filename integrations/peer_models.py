"""Peers: other FHIR servers that are registered once and kept in step, and how far each of them came.

The database is the truth: what is due stands here, and a message is only a wake-up call. No clinical content.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from consent.models import Organization, Subject


class Peer(models.Model):
    """A FHIR server we call as a system client (SMART Backend Services), for one organisation."""

    class State(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        ENDED = "ended"  # its key is gone, its rows stay: what came from it still names it

    code = models.SlugField(max_length=40, unique=True)  # in commands and in the log
    name = models.CharField(max_length=200)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    base = models.CharField(max_length=200, unique=True)  # of its REST API, without a slash at the end
    origins = ArrayField(models.CharField(max_length=200))  # scheme://host:port, all that may be called
    token_url = models.CharField(max_length=300)  # of its smart-configuration
    client = models.CharField(max_length=100)  # what we are called there
    launch_client = models.CharField(max_length=100, blank=True)  # where people sign in there to link; "" = they cannot
    kid = models.CharField(max_length=64, unique=True)
    algorithm = models.CharField(max_length=5)  # ES384 or RS384
    public = models.JSONField()  # the public half, as a JWK
    key_version = models.SmallIntegerField()
    sealed = models.BinaryField()  # the private half, under the commons key

    purpose = models.CharField(max_length=16)  # for which it reads here
    types = ArrayField(models.CharField(max_length=40))  # resource types that go to and fro
    categories = models.BigIntegerField()  # and their categories (consent.scope.Category)
    pulls = models.BooleanField(default=True)
    pushes = models.BooleanField(default=True)
    bulk = models.CharField(max_length=100, blank=True)  # Group/<id> or Patient: pull by $export; "" = by searches
    export_url = models.CharField(max_length=500, blank=True)  # of an export that runs there
    export_taken = ArrayField(models.CharField(max_length=32), default=list)  # its files that were taken in, by digest
    export_since = models.DateTimeField(null=True)  # transactionTime of the last one that was taken in

    state = models.CharField(max_length=6, choices=State.choices, default=State.ACTIVE)
    failures = models.PositiveSmallIntegerField(default=0)  # in a row
    problem = models.CharField(max_length=40, blank=True)  # code of the last failure
    next_at = models.DateTimeField()
    ok_at = models.DateTimeField(null=True)
    xid = models.BigIntegerField(default=0)  # how far the change feed was read
    change = models.BigIntegerField(default=0)
    claim = models.UUIDField(null=True)  # of the worker that is at it
    claimed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["next_at"], condition=Q(state="active"), name="peer_due")]


class PeerPerson(models.Model):
    """One linked person at one peer: her number there (a LocalNumber) and how far her record went to and fro."""

    peer = models.ForeignKey(Peer, on_delete=models.PROTECT, related_name="persons")
    number = models.OneToOneField("integrations.LocalNumber", on_delete=models.CASCADE, related_name="+")
    filled = models.BooleanField(default=False)  # what stood in her record before the link is queued
    epoch = models.BigIntegerField(default=0)  # of her consents, when what was withheld was last offered
    reconciled_at = models.DateTimeField(null=True)  # when we last looked for what is no longer there


class PeerCursor(models.Model):
    """Up to when, by the peer's own clock, one person's resources of one type have been fetched."""

    person = models.ForeignKey(PeerPerson, on_delete=models.CASCADE, related_name="cursors")
    type = models.CharField(max_length=40)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "type"], name="one_cursor_of_a_type")]


class PeerKnown(models.Model):
    """A resource of theirs that we have seen: under which id it stands here, and their version of it."""

    person = models.ForeignKey(PeerPerson, on_delete=models.CASCADE, related_name="known")
    type = models.CharField(max_length=40)
    theirs = models.CharField(max_length=64)
    ours = models.CharField(max_length=64)
    version = models.CharField(max_length=64, blank=True)  # their versionId
    modified = models.CharField(max_length=40, blank=True)  # their lastUpdated
    gone = models.BooleanField(default=False)  # deleted there: entered-in-error here
    problem = models.CharField(max_length=40, blank=True)  # why this version is not stored

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "type", "theirs"], name="one_row_of_a_known")]


class PeerDelivery(models.Model):
    """One resource of ours on its way to a peer. Whether it may go is decided each time it would."""

    class State(models.TextChoices):
        DUE = "due"
        SENT = "sent"
        WITHHELD = "withheld"  # not theirs to see now; offered again when her consents change
        DEAD = "dead"  # they do not take it; the reason says why

    peer = models.ForeignKey(Peer, on_delete=models.PROTECT, related_name="deliveries")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=40)
    ours = models.CharField(max_length=64)
    wanted = models.PositiveIntegerField()  # our version that is to go
    sent = models.PositiveIntegerField(default=0)  # our version that they have for certain
    theirs = models.CharField(max_length=64, blank=True)  # its id there; "" = they have not told us that they have it
    state = models.CharField(max_length=8, choices=State.choices, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    reason = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["peer", "type", "ours"], name="one_delivery_of_a_resource")]
        indexes = [models.Index(fields=["peer", "next_at"], condition=Q(state="due"), name="deliveries_due")]
