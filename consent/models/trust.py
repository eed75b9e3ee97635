"""The institution of the trust: its terms, who accepted them, who may receive, for what programs, judged by whom."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from consent.models.people import Organization, Person, Subject


class Terms(models.Model):
    """One version of the terms of entrustment. Published, it is never changed; its texts are found by their hash."""

    version = models.PositiveIntegerField(unique=True)
    text_ja = models.TextField()
    text_en = models.TextField()
    sha256_ja = models.CharField(max_length=64, unique=True)
    sha256_en = models.CharField(max_length=64, unique=True)
    published_at = models.DateTimeField()
    published_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")


class Mandate(models.Model):
    """A person entrusted a record to us, on one version of the terms (委任). At most one stands per record."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="mandates")
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="mandates")
    terms = models.ForeignKey(Terms, on_delete=models.PROTECT, related_name="mandates")
    capacity = models.CharField(max_length=10)  # self, guardian
    locale = models.CharField(max_length=2)  # the language of the text that was read
    sha256 = models.CharField(max_length=64)  # of that text
    accepted_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject"], condition=Q(ended_at=None), name="one_mandate_stands"),
        ]


class Recipient(models.Model):
    """An organisation that may receive, by contract with the trust. `decide()` looks at this row on every request."""

    class State(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        ENDED = "ended"

    organization = models.OneToOneField(Organization, on_delete=models.PROTECT, related_name="recipient")
    legal_name = models.CharField(max_length=200)
    legal_number = models.CharField(max_length=13)  # 法人番号
    address = models.CharField(max_length=200)
    representative = models.CharField(max_length=100)
    contract_ref = models.CharField(max_length=64)
    contract_ends_on = models.DateField()  # the last day, in Japan
    certification = models.CharField(max_length=100)  # which certificate, by whom
    certified_until = models.DateTimeField()  # half-open: at this very second it is over
    purposes = ArrayField(models.CharField(max_length=16))
    profiling = models.BooleanField(default=False)  # it infers or scores persons from what it receives (IT-08)
    state = models.CharField(max_length=9, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(max_length=64, blank=True)  # a code
    processor_of = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="processors")
    report_months = models.PositiveSmallIntegerField(default=12)  # how often it reports on use (IT-22)
    consent_epoch = models.BigIntegerField(default=0)
    registered_at = models.DateTimeField()
    registered_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(processor_of=None) | ~Q(processor_of=F("id")), name="nobody_processes_for_itself"
            ),
            models.CheckConstraint(condition=~Q(contract_ref=""), name="recipient_has_a_contract"),
        ]


class OnwardException(models.Model):
    """A listed case in which one recipient may hand on to another (bank to bank). No row: no onward use (IT-21)."""

    giver = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="onward_exceptions")
    taker = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="+")
    basis = models.CharField(max_length=200)
    valid_until = models.DateTimeField()
    listed_at = models.DateTimeField()
    listed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")


class Program(models.Model):
    """What data is given for: purpose, categories, benefit. Only a reviewed one is active, only an active one gives."""

    class State(models.TextChoices):
        DRAFT = "draft"
        REVIEW = "review"
        ACTIVE = "active"
        STOPPED = "stopped"  # by the board
        CLOSED = "closed"  # came to its end

    class UseClass(models.TextChoices):
        SELF_BENEFIT = "self-benefit"  # 明確な便益
        PUBLIC_INTEREST = "public-interest"  # 公益性

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title_ja = models.CharField(max_length=200)
    title_en = models.CharField(max_length=200)
    recipients = models.ManyToManyField(Recipient, related_name="programs")
    purpose = models.CharField(max_length=16)
    duo = ArrayField(models.CharField(max_length=13), default=list)  # GA4GH Data Use Ontology, "DUO:0000042"
    categories = models.BigIntegerField()  # mask of consent.scope.Category: the most it may ask for
    level = models.SmallIntegerField()
    use_class = models.CharField(max_length=15, choices=UseClass.choices)
    benefit_ja = models.TextField(blank=True)
    benefit_en = models.TextField(blank=True)
    profiling = models.BooleanField(default=False)
    onward = models.BooleanField(default=False)
    data_low = models.DateTimeField(null=True)  # the clinical time it may ask for, half-open
    data_high = models.DateTimeField(null=True)
    state = models.CharField(max_length=7, choices=State.choices, default=State.DRAFT)
    approval = models.ForeignKey("EthicsDecision", null=True, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    proposed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    flagged_at = models.DateTimeField(null=True)  # shown to the board: closed, and no benefit came back (IT-51)
    consent_epoch = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="active") | (~Q(benefit_ja="") & ~Q(benefit_en="")),
                name="active_program_states_its_benefit",  # IT-50
            ),
            models.CheckConstraint(
                condition=~Q(state="active") | Q(approval__isnull=False), name="active_program_was_approved"  # IT-05
            ),
            models.CheckConstraint(
                condition=~Q(state="active") | Q(use_class__in=["self-benefit", "public-interest"]),
                name="active_program_declares_its_use",  # IT-05
            ),
        ]  # fmt: skip


class EthicsDecision(models.Model):
    """What the data ethics board decided about one program, recipient, version of the terms, screen. Never changed."""

    class Outcome(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"
        STOP = "stop"

    program = models.ForeignKey(Program, null=True, on_delete=models.PROTECT, related_name="decisions")
    recipient = models.ForeignKey(Recipient, null=True, on_delete=models.PROTECT, related_name="decisions")
    terms = models.ForeignKey(Terms, null=True, on_delete=models.PROTECT, related_name="decisions")
    screen = models.CharField(max_length=61, blank=True)  # name@version
    outcome = models.CharField(max_length=7, choices=Outcome.choices)
    reasons = models.TextField()
    decided_at = models.DateTimeField()
    valid_until = models.DateTimeField(null=True)
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(program__isnull=False, recipient=None, terms=None, screen="")
                | Q(program=None, recipient__isnull=False, terms=None, screen="")
                | Q(program=None, recipient=None, terms__isnull=False, screen="")
                | (Q(program=None, recipient=None, terms=None) & ~Q(screen="")),
                name="decision_is_about_one_thing",
            ),
            models.CheckConstraint(
                condition=~Q(outcome="approve") | Q(valid_until__isnull=False), name="approval_has_an_end"
            ),
        ]


class BoardMember(models.Model):
    """Who sat on the board for one decision, and as what."""

    class Role(models.TextChoices):
        MEDICAL = "medical"
        LEGAL = "legal"
        ETHICS = "ethics"
        TECHNICAL = "technical"
        LAY = "lay"  # a member from among those whose data it is

    decision = models.ForeignKey(EthicsDecision, on_delete=models.PROTECT, related_name="members")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=9, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["decision", "person"], name="one_seat_each")]
