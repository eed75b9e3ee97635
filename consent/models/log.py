"""The log and its seals."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func


class CurrentTransaction(Func):
    """The id of the writing transaction; readers stop at the oldest one still running."""

    template = "pg_current_xact_id()::text::bigint"
    arity = 0
    output_field = models.BigIntegerField()


class AuditEntry(models.Model):
    """One line of the log. Append-only (trigger and role), no foreign keys, no clinical content."""

    id = models.BigAutoField(primary_key=True)
    xid = models.BigIntegerField(db_default=CurrentTransaction())
    at = models.DateTimeField()
    event = models.CharField(max_length=32)  # subject:verb, e.g. record:read
    subject = models.UUIDField(null=True)
    person = models.BigIntegerField(null=True)
    organization = models.BigIntegerField(null=True)
    client = models.CharField(max_length=100, blank=True)
    capacity = models.CharField(max_length=10, blank=True)
    purpose = models.CharField(max_length=16, blank=True)
    request = models.CharField(max_length=36, blank=True)
    version = models.IntegerField(null=True)  # of the resource the sealed detail names; tells nothing without it
    key_version = models.SmallIntegerField(default=0)  # of the data key that sealed the detail
    salt = models.BinaryField(max_length=16)
    detail = models.BinaryField(default=bytes)  # sealed: `consent.payload`

    class Meta:
        indexes = [
            models.Index(fields=["subject", "at"], name="audit_by_subject"),
            models.Index(fields=["xid", "id"], name="audit_in_commit_order"),
        ]


class AuditBatch(models.Model):
    """A sealed run of entries: an RFC 6962 Merkle tree whose head is signed with the previous root."""

    sequence = models.BigIntegerField(primary_key=True)
    sealed_at = models.DateTimeField()
    entries = ArrayField(models.BigIntegerField())  # AuditEntry ids, in leaf order
    leaves = models.BinaryField()  # 32 bytes each
    root = models.BinaryField(max_length=32)
    previous_root = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    key_id = models.CharField(max_length=32)
    last_xid = models.BigIntegerField()
    last_entry = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["last_xid", "last_entry"], name="batch_by_end")]


class PublishedHead(models.Model):
    """A head that somebody outside the database has: up to which batch, and since when."""

    class Where(models.TextChoices):
        FILE = "file"
        URL = "url"

    where = models.CharField(max_length=4, choices=Where.choices, primary_key=True)
    sequence = models.BigIntegerField()
    at = models.DateTimeField()
