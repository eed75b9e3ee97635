"""Who is who: persons, whose records, organisations, and who acts for whom."""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import F, Q


class Subject(models.Model):
    """Whose record it is. The primary key is the FHIR Patient id. Mother and child are two."""

    class State(models.TextChoices):
        ACTIVE = "active"
        LOCKED = "locked"
        ERASED = "erased"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    birth_on = models.DateField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    location_hidden = models.BooleanField(default=False)
    died_on = models.DateField(null=True, blank=True)
    consent_epoch = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()


class Organization(models.Model):
    """A clinic, pharmacy, municipality … `code` is the 10-digit 医療機関コード or the 6-digit 団体コード."""

    class Kind(models.TextChoices):
        CLINIC = "clinic"
        HOSPITAL = "hospital"
        PHARMACY = "pharmacy"
        MUNICIPALITY = "municipality"
        SCHOOL = "school"
        AMBULANCE = "ambulance"
        RESEARCH = "research"
        OPERATOR = "operator"

    class State(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    code = models.CharField(max_length=10, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    # From when on a permit to its class ("class:clinic") counts for it (IT-03). None: not at all.
    class_from = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class PersonManager(BaseUserManager["Person"]):
    def create_user(self, username: str, password: str | None = None, **fields: object) -> Person:
        person = self.model(username=self.model.normalize_username(username), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person

    def create_superuser(self, username: str, password: str | None = None, **fields: object) -> Person:
        return self.create_user(username, password, is_staff=True, is_superuser=True, **fields)


class Person(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in. `own_subject` is her own record; `organization` the one she is staff of."""

    username = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    kana = models.CharField(max_length=100, blank=True)
    own_subject = models.OneToOneField(Subject, null=True, blank=True, on_delete=models.PROTECT, related_name="person")
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ["name"]
    objects = PersonManager()

    def __str__(self) -> str:
        return self.name


class Guardianship(models.Model):
    """A verified link Person -> Subject. The period is half-open; a frozen link gives nothing, silently."""

    class Kind(models.TextChoices):
        PARENT = "parent"
        ADOPTIVE = "adoptive"
        FOSTER = "foster"
        APPOINTED = "appointed"
        INSTITUTION = "institution"

    class State(models.TextChoices):
        ACTIVE = "active"
        FROZEN = "frozen"
        ENDED = "ended"

    class Evidence(models.TextChoices):
        BIRTH_NOTICE = "birth-notice"  # 出生届
        RESIDENT_RECORD = "resident-record"  # 住民票
        FAMILY_REGISTER = "family-register"  # 戸籍
        CLINIC_IN_PERSON = "clinic-in-person"
        COURT_ORDER = "court-order"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="guardianships")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="guardianships")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.PARENT)
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    evidence = models.CharField(max_length=20, choices=Evidence.choices)
    verified_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    review_on = models.DateField()
    sole = models.BooleanField(default=False)  # the register knows no other guardian (単独親権)
    release_asked_by = models.ForeignKey(Person, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "subject"], condition=~Q(state="ended"), name="one_open_link"),
            models.CheckConstraint(condition=~Q(person=F("verified_by")), name="guardian_never_verifies_self"),
        ]
