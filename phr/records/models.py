"""The record's tables. The sealed body is the truth; every other column derives from it (`reindex`).

Only `phr.records` imports this module; everyone else goes through the gateway.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q

from consent.models import CurrentTransaction, Subject


class FactColumns(models.Model):
    """`consent.scope.Facts` as columns, so that every rule compiles to SQL."""

    subject = models.ForeignKey(Subject, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    subject2 = models.ForeignKey(Subject, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    categories = models.BigIntegerField()
    level = models.SmallIntegerField()
    clinical_low = models.DateTimeField(null=True)
    clinical_high = models.DateTimeField(null=True)
    author = models.BigIntegerField(null=True)  # consent.Organization; null = the family
    marks = models.SmallIntegerField(default=0)
    terms = ArrayField(models.BigIntegerField())

    class Meta:
        abstract = True


class Resource(FactColumns):
    """The current version of each resource. A deleted one keeps its row, without a body or index."""

    id = models.BigAutoField(primary_key=True)
    type = models.CharField(max_length=40)
    fhir_id = models.CharField(max_length=64)
    named = models.BigIntegerField()  # the keyed hash of "Type/id", by which references meet it (search/terms.py)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()
    deleted = models.BooleanField(default=False)
    key_version = models.SmallIntegerField()
    body = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["type", "fhir_id"], name="one_logical_id")]
        indexes = [
            models.Index(
                "subject", "type", F("clinical_low").desc(nulls_last=True), F("id").desc(), name="record_walk"
            ),
            models.Index(
                fields=["subject2", "subject"], condition=Q(subject2__isnull=False), name="record_second_subject"
            ),
            models.Index(fields=["subject", "subject2"], condition=Q(subject2__isnull=False), name="record_shared"),
            # The orders in which the whole store is paged, ties and all.
            models.Index(fields=["type", "updated_at", "id"], name="record_by_update"),
            models.Index("type", F("clinical_low").desc(nulls_last=True), F("id").desc(), name="record_by_date"),
            models.Index(fields=["updated_at", "id"], name="record_by_time"),
            models.Index(fields=["type", "id"], name="record_by_type"),  # exports and pages walk it
            models.Index(fields=["named"], name="record_by_name"),
            GinIndex(fields=["terms"], name="record_terms", fastupdate=False),
        ]


class Version(FactColumns):
    """An earlier version, moved here by an update with the Facts it had. Never updated."""

    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, db_index=False, related_name="earlier")
    version = models.PositiveIntegerField()
    updated_at = models.DateTimeField()
    deleted = models.BooleanField(default=False)
    key_version = models.SmallIntegerField()
    body = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["resource", "version"], name="one_version")]
        indexes = [
            models.Index(fields=["updated_at", "resource"], name="version_by_time"),
            models.Index(fields=["subject", "updated_at"], name="version_by_subject"),
        ]


class Range(models.Model):
    """An ordered value: `low`..`high` half-open, microseconds since 1970 for dates, else the number."""

    pk = models.CompositePrimaryKey("resource", "param", "low", "high")
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, db_index=False)
    param = models.SmallIntegerField()
    low = models.FloatField()
    high = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["param", "low", "high"], name="range_by_value")]


class Text(models.Model):
    """A normalised string (NFKC, case, width and kana folded)."""

    resource = models.ForeignKey(Resource, on_delete=models.CASCADE)
    param = models.SmallIntegerField()
    text = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["param", "text"], name="text_by_prefix", opclasses=["int2_ops", "text_pattern_ops"])
        ]


class Words(models.Model):
    """What a resource that belongs to no one says, for full text (`search/words.py`)."""

    pk = models.CompositePrimaryKey("resource", "param")
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, db_index=False)
    param = models.SmallIntegerField()
    words = SearchVectorField()

    class Meta:
        indexes = [GinIndex(fields=["words"], name="words_by_lexeme", fastupdate=False)]


class Change(models.Model):
    """The change feed. Readers stop at the oldest running transaction, so a late commit is never skipped."""

    id = models.BigAutoField(primary_key=True)
    xid = models.BigIntegerField(db_default=CurrentTransaction())
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    version = models.PositiveIntegerField()
    method = models.CharField(max_length=6)  # create, update, delete

    class Meta:
        indexes = [models.Index(fields=["xid", "id"], name="change_in_commit_order")]
