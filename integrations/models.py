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
from integrations.peer_models import Peer, PeerCursor, PeerDelivery, PeerKnown, PeerPerson

__all__ = [
    "DeadLetter", "ImportPart", "ImportRun", "ImportSlice", "KnownItem", "LinkCode", "LocalNumber", "Peer",
    "PeerCursor", "PeerDelivery", "PeerKnown", "PeerPerson", "Unlinked", "WaitingItem",
]  # fmt: skip


class ImportRun(models.Model):
    """One input on its way into the record.

    accepted -> running -> done | refused | failed; or -> waiting (parts missing) -> accepted when more arrive.
    Of a feed (`subject` is None): a dry run -> reported -> accepted when somebody agrees; running -> paused ->
    accepted; anything open -> cancelled.
    """

    class State(models.TextChoices):
        ACCEPTED = "accepted"
        RUNNING = "running"
        WAITING = "waiting"
        REPORTED = "reported"
        PAUSED = "paused"
        CANCELLED = "cancelled"
        DONE = "done"
        REFUSED = "refused"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=32)  # the connector or feed: jahis-qr …
    # Whose record; None = the input of a feed, which names many people.
    subject = models.ForeignKey(Subject, null=True, on_delete=models.PROTECT, related_name="+")
    profile = models.CharField(max_length=64, blank=True)  # of a feed: the source profile chosen
    # Who asked: the authority the run rests on. `authority` holds the rest of consent.decide.Caller.
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")
    client = models.CharField(max_length=100, blank=True)
    authority = models.JSONField()

    state = models.CharField(max_length=9, choices=State.choices, default=State.ACCEPTED)
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

    # Of a feed. `done` and `total` then count items; the four counts above and below count resources and items.
    dry = models.BooleanField(default=False)  # only report what would come of it
    asked = models.CharField(max_length=9, blank=True)  # "paused" or "cancelled": the worker stops at the next chunk
    bytes_done = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField(default=0)
    retracted = models.PositiveIntegerField(default=0)  # resources that became entered-in-error
    unmatched = models.PositiveIntegerField(default=0)  # items whose person is not linked
    refused_items = models.PositiveIntegerField(default=0)  # items of which nothing was stored
    wrapped = models.BinaryField(null=True)  # the key of the original, wrapped; without it the original is unreadable
    kek = models.CharField(max_length=32, blank=True)
    original_until = models.DateTimeField(null=True)  # when the sealed original of an ended run goes

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
                condition=~Q(state__in=["refused", "failed"]) & Q(subject__isnull=False),
                nulls_distinct=False,
                name="one_import_of_an_input",
            ),
            # The input of a feed may come again once it has ended: what was refused may be taken by then.
            models.UniqueConstraint(
                fields=["kind", "profile", "dry", "requested_by", "organization", "client", "sha256"],
                condition=Q(state__in=["accepted", "running", "reported", "paused"], subject=None),
                nulls_distinct=False,
                name="one_open_import_of_a_feed",
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
            models.Index(fields=["heartbeat_at"], condition=Q(state__in=["accepted", "running"]), name="import_due"),
            models.Index(fields=["organization", "-created_at"], name="import_of_organization"),
        ]

    @property
    def whose(self) -> uuid.UUID:
        """Whose record a connector's run is for."""
        if self.subject_id is None:
            raise ValueError("the input of a feed names many people")
        return self.subject_id


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


class ImportSlice(models.Model):
    """Up to 1 MiB of one piece of a feed's input, sealed with the run's own key, in the order of `number`."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="slices")
    number = models.PositiveIntegerField()
    piece = models.PositiveIntegerField()  # of the input, from 0; its name is sealed at the head of its first slice
    sealed = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="one_slice_of_a_number")]


class LocalNumber(models.Model):
    """The cross-reference: a source's own number for a person (宛名番号, 診察券番号, a peer's Patient id) -> Subject.

    Found by a keyed digest of system and value; the value itself stands sealed under the person's key, so that it goes
    when she is erased. History is kept: a number that ended (the family moved) names nobody any more.
    """

    class Ground(models.TextChoices):
        IDENTIFIER = "identifier"  # her Patient already bore it, and the date of birth agreed
        DESK = "desk"  # staff looked and linked
        CODE = "code"  # she showed a one-time code there
        LAUNCH = "launch"  # she signed in at the peer

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    system = models.CharField(max_length=200)
    digest = models.BinaryField(max_length=32)
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="local_numbers")
    key_version = models.SmallIntegerField()
    sealed = models.BinaryField()
    ground = models.CharField(max_length=10, choices=Ground.choices)
    linked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "system", "digest"], condition=Q(until=None), name="one_person_of_a_number"
            )
        ]
        indexes = [models.Index(fields=["subject"], name="numbers_of_a_person")]


class Unlinked(models.Model):
    """Somebody a feed names by a number that is linked to nobody: waits for a person to decide.

    `sealed`: the Identity, under the commons key, until it is linked, dismissed or let go.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        LINKED = "linked"
        DISMISSED = "dismissed"

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    system = models.CharField(max_length=200)
    digest = models.BinaryField(max_length=32)
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    not_disclosed = models.BooleanField(default=False)  # hides her place in the transaction that links her
    key_version = models.SmallIntegerField()
    sealed = models.BinaryField()
    number = models.ForeignKey(LocalNumber, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    since = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "system", "digest"],
                condition=Q(state="waiting"),
                name="one_case_of_a_number",
            )
        ]
        indexes = [models.Index(fields=["organization", "since"], condition=Q(state="waiting"), name="cases_waiting")]


class WaitingItem(models.Model):
    """An Item whose person is not linked, or may not be written to now: sealed under the commons key."""

    case = models.ForeignKey(Unlinked, on_delete=models.CASCADE, related_name="items")
    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="waiting")
    kind = models.CharField(max_length=32)
    digest = models.BinaryField(max_length=32)  # of the item's key: the newest of it waits
    key_version = models.SmallIntegerField()
    sealed = models.BinaryField()
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "kind", "digest"], name="one_waiting_item")]


class KnownItem(models.Model):
    """What came of an Item: which resources say it, and a digest of what it said."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=32)
    digest = models.BinaryField(max_length=32)  # keyed, of the item's key
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    content = models.BinaryField(
        max_length=32
    )  # keyed digest of what it said, and of who mapped it (the feed's version)
    said_at = models.CharField(max_length=32, blank=True)
    names = ArrayField(models.CharField(max_length=100), default=list)  # Type/id
    deleted = models.BooleanField(default=False)
    number = models.ForeignKey(LocalNumber, null=True, on_delete=models.PROTECT, related_name="+")  # that named her
    # What the ids are mixed with, where the item was first brought in for somebody else, by mistake.
    salt = models.CharField(max_length=36, blank=True)
    run = models.ForeignKey(ImportRun, null=True, on_delete=models.PROTECT, related_name="+")  # None: no run was kept

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "kind", "digest"], name="one_fact_of_an_item")]
        indexes = [models.Index(fields=["subject"], name="items_of_a_person")]


class LinkCode(models.Model):
    """A one-time code a person shows at a desk or a peer, so that their number for her becomes a LocalNumber."""

    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="+")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True)
    made_at = models.DateTimeField()
    until = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")


class DeadLetter(models.Model):
    """Work that was given up, until an operator has it tried again or lets it go. Ids and codes only, never content.

    One thing given up again while its letter waits is counted in the same letter.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RETRIED = "retried"
        DISCARDED = "discarded"

    task = models.CharField(max_length=100)  # the Celery task that takes it up again, given `reference`
    reference = models.CharField(
        max_length=200, blank=True
    )  # the id of the run, delivery, … ; "" = the task needs none
    reason = models.CharField(max_length=40)  # a code: gave-up, refused, unhandled …
    error = models.CharField(max_length=100, blank=True)  # the type of the exception; its message may quote content
    times = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    since = models.DateTimeField()
    last_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "reference"], condition=Q(state="waiting"), name="one_dead_letter_of_a_thing"
            )
        ]
        indexes = [models.Index(fields=["since"], condition=Q(state="waiting"), name="dead_letters_waiting")]


class KeptApart(models.Model):
    """A telling of a dispensing that its owner does not want shown as the same as another: undoing a merge."""

    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)  # Type/id of the resource
    separated_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "name"], name="kept_apart_once")]
