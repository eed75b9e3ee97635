"""What is counted of an app's writing."""

from __future__ import annotations

from django.db import models


class AppWrites(models.Model):
    """How many resources one app has written for one person, in the last day and minute that it wrote in."""

    digest = models.BinaryField(max_length=32, unique=True)  # keyed, of client and person
    day = models.DateField()  # in Japan
    in_day = models.PositiveIntegerField()
    minute = models.DateTimeField()  # its beginning
    in_minute = models.PositiveIntegerField()
