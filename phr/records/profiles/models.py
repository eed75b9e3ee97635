"""The tables of loaded packages (FHIR NPM packages: implementation guides). Nothing personal."""

from __future__ import annotations

from django.db import models


class Package(models.Model):
    """One loaded package; a name stands once, with one version."""

    name = models.CharField(max_length=214, unique=True)  # npm's limit
    version = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)  # SHA-256 of the archive
    loaded_at = models.DateTimeField()


class Canonical(models.Model):
    """One canonical resource of a package. `content`: its JSON, compressed with zstandard."""

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="canonicals")
    url = models.TextField()
    version = models.CharField(max_length=64)
    type = models.CharField(max_length=40)
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["package", "type", "url", "version"], name="one_canonical_in_a_package")
        ]
