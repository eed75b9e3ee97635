"""What guardianship leaves behind: acts that wait for both parents, births, cases, and what must not be told."""

from __future__ import annotations

from django.db import models

from consent.models.grants import Grant
from consent.models.people import Organization, Person, Subject


class JointAct(models.Model):
    """What one guardian asks and the other must agree to (Civil Code 824-2). `detail`: ids and codes only."""

    class State(models.TextChoices):
        PENDING = "pending"
        AGREED = "agreed"  # everybody agrees; the deed may be done, once
        DONE = "done"
        REFUSED = "refused"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="joint_acts")
    kind = models.CharField(max_length=16)  # consent.joint.Kind
    grant = models.OneToOneField(Grant, null=True, on_delete=models.PROTECT, related_name="joint_act")
    detail = models.JSONField(default=dict)
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["subject", "state"], name="joint_acts_of_subject")]


class JointAnswer(models.Model):
    """One guardian's yes. A no settles the act at once, whose state tells it."""

    act = models.ForeignKey(JointAct, on_delete=models.PROTECT, related_name="answers")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["act", "person"], name="one_answer_of_each")]


class ProtectionCase(models.Model):
    """A guardian asked that places be hidden, or an organisation's own register says so; staff look at it (G-06)."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    asked_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    told_by = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")  # its register
    opened_at = models.DateTimeField()
    closed_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "asked_by"], condition=models.Q(closed_at=None), name="one_open_case"
            )
        ]


class Birth(models.Model):
    """Which record a child's was split from, and by whom: of the trust alone, it stands in neither record."""

    mother = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    child = models.OneToOneField(Subject, on_delete=models.PROTECT, related_name="+")
    born_on = models.DateField()
    order = models.PositiveSmallIntegerField()
    delivered_by = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mother", "born_on", "order"], name="one_birth")]


class Silence(models.Model):
    """What nobody may be reminded of again. `about`: the id of an EpisodeOfCare. The reason stands in the record."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    about = models.CharField(max_length=64)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "about"], name="one_silence")]


class Milestone(models.Model):
    """What has been done for a person on the way to adulthood: each once, however often it is tried."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=24)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "name"], name="one_milestone")]


class Adoption(models.Model):
    """A child's record under a new identity. Sealed for staff: neither identity leads to the other anywhere else."""

    old = models.OneToOneField(Subject, on_delete=models.PROTECT, related_name="+")
    new = models.OneToOneField(Subject, on_delete=models.PROTECT, related_name="+")
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()


class Suspension(models.Model):
    """A proxy's Grant that does not count until the principal confirms it again (G-09)."""

    grant = models.OneToOneField(Grant, on_delete=models.PROTECT, related_name="suspension")
    why = models.CharField(max_length=20)  # consent.proxies.Why
    since = models.DateTimeField()
