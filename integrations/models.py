"""Import runs: what is to be brought in, for whom, on whose authority, and what came of it.

The database is the truth; a Celery message is only a wake-up call. No clinical content stands here in the open: the
parts are sealed with the subject's key and go when the run is done or refused (the original then is a Binary).
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from consent.models import Organization, Subject


class ImportRun(models.Model):
    """One input on its way into the record.

    accepted -> running -> done | refused | failed; or -> waiting (parts missing) -> accepted when more arrive.
    """

    class State(models.TextChoices):
        ACCEPTED = "accepted"
        RUNNING = "running"
        WAITING = "waiting"
        DONE = "done"
        REFUSED = "refused"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=32)  # the connector: jahis-qr …
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    # Who asked: the authority the run rests on. `authority` holds the rest of consent.decide.Caller.
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")
    client = models.CharField(max_length=100, blank=True)
    authority = models.JSONField()

    state = models.CharField(max_length=8, choices=State.choices, default=State.ACCEPTED)
    sha256 = models.CharField(max_length=64)  # of the parts, in order of their hashes: the same input is the same run
    set_key = models.CharField(max_length=64, blank=True)  # what the parts of one set share, hashed; "" = unknown
    missing = ArrayField(models.PositiveSmallIntegerField(), default=list)  # positions from 1, while waiting

    done = models.PositiveIntegerField(default=0)  # of `total` resources
    total = models.PositiveIntegerField(default=0)
    chunks = models.PositiveIntegerField(default=0)  # committed: where a resumed run goes on
    created = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list)  # integrations.problems.Problem.as_json

    claim = models.UUIDField(null=True)  # of the worker that runs it; one that was overtaken holds another
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Asked twice by the same person with the same app, an input is one run, unless it was refused or failed.
            models.UniqueConstraint(
                fields=["kind", "subject", "requested_by", "organization", "client", "sha256"],
                condition=~Q(state__in=["refused", "failed"]),
                nulls_distinct=False,
                name="one_import_of_an_input",
            ),
            # Parts that come one by one gather in one run.
            models.UniqueConstraint(
                fields=["kind", "subject", "requested_by", "organization", "client", "set_key"],
                condition=Q(state__in=["accepted", "running", "waiting"]) & ~Q(set_key=""),
                nulls_distinct=False,
                name="one_open_import_of_a_set",
            ),
        ]
        indexes = [
            models.Index(fields=["heartbeat_at"], condition=Q(state__in=["accepted", "running"]), name="import_due")
        ]


class ImportPart(models.Model):
    """One part of an input as it was read, sealed. It goes when its run is done or refused."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="parts")
    sha256 = models.CharField(max_length=64)
    index = models.PositiveSmallIntegerField(null=True)  # from 0, as a QR reader reports it
    total = models.PositiveSmallIntegerField(null=True)
    set_id = models.CharField(max_length=64, null=True)
    key_version = models.SmallIntegerField()
    sealed = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "sha256", "index"], nulls_distinct=False, name="one_part_of_a_run")
        ]
