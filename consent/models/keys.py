"""The data keys, wrapped. Their use: `consent.keys`."""

from __future__ import annotations

from django.db import models

from consent.models.people import Subject


class DataKey(models.Model):
    """A data key wrapped by a key-encryption key. `subject` null = the key of what belongs to no one."""

    id = models.BigAutoField(primary_key=True)
    subject = models.ForeignKey(Subject, null=True, on_delete=models.PROTECT, related_name="+")
    version = models.SmallIntegerField(default=1)
    kek = models.CharField(max_length=32)
    wrapped = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "version"], nulls_distinct=False, name="one_data_key_version")
        ]
