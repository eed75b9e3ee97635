"""Long work about many records: exports, and files brought in by operators. Each row is the truth of its work.

A Celery message is only a wake-up call. Nothing clinical stands here in the open: what was asked is sealed
with the job's own key, and the files hold sealed pieces (`sealed_files`).
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from consent.models import Organization


class ExportJob(models.Model):
    """One bulk export: accepted -> running -> done | failed. A job that was deleted or expired has no row."""

    class State(models.TextChoices):
        ACCEPTED = "accepted"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Who asked; `authority` holds the rest of consent.decide.Caller.
    client = models.CharField(max_length=100)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    authority = models.JSONField()

    kek = models.CharField(max_length=32)  # wraps the key of this job
    wrapped = models.BinaryField()
    plan = models.BinaryField()  # what was asked, sealed by the key of this job

    state = models.CharField(max_length=8, choices=State.choices, default=State.ACCEPTED)
    transaction_at = models.DateTimeField(null=True)  # the manifest's transactionTime, from the first start on
    high_water = models.BigIntegerField(null=True)  # rows stored after it do not enter
    step = models.PositiveIntegerField(default=0)  # committed: where a resumed job goes on
    after = models.BigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)  # resources written

    claim = models.UUIDField(null=True)  # of the worker that runs it; one that was overtaken holds another
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["client", "state"], name="export_of_client"),
            models.Index(fields=["heartbeat_at"], condition=Q(state__in=["accepted", "running"]), name="export_due"),
            models.Index(fields=["expires_at"], name="export_expiry"),
        ]


class ExportFile(models.Model):
    """One NDJSON file of an export, as far as it is committed: what lies beyond `size` on the disk is not there."""

    class Kind(models.TextChoices):
        OUTPUT = "output"
        DELETED = "deleted"
        ERROR = "error"

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(ExportJob, on_delete=models.CASCADE, related_name="files")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    type = models.CharField(max_length=40)
    number = models.PositiveIntegerField()  # from 1, of its kind and type
    lines = models.PositiveBigIntegerField(default=0)
    pieces = models.PositiveIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)  # bytes, sealed

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "kind", "type", "number"], name="one_export_file")]


class Ingest(models.Model):
    """One NDJSON file an operator brings in for an organisation, and how far it came."""

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)  # of the file as it lies there
    patients_done = models.BooleanField(default=False)  # first all Patients, then the rest
    offset = models.PositiveBigIntegerField(default=0)  # bytes of text read in this pass, all committed
    line = models.PositiveBigIntegerField(default=0)
    created = models.PositiveBigIntegerField(default=0)
    unchanged = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "sha256"], name="one_ingest_of_a_file")]
