"""What people sign in with beside a password: passkeys, one-time passwords, recovery codes, cards; and failed tries.

Secrets and pairwise identifiers are sealed under the key-encryption keys (`phr/smart/sealed.py`); what must be found
again is kept as a keyed hash (blind index). The individual number (マイナンバー) is stored nowhere.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Passkey(models.Model):
    """One WebAuthn credential of a person. The public key is no secret; the count only ever grows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkeys")
    credential = models.BinaryField(max_length=1023, unique=True)  # WebAuthn §4: at most 1023 bytes
    handle = models.BinaryField(max_length=64)  # what authenticators call the person: random, the same for all hers
    public_key = models.BinaryField()  # COSE_Key
    sign_count = models.BigIntegerField(default=0)
    name = models.CharField(max_length=40)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class Totp(models.Model):
    """The one-time-password secret of a person (RFC 6238). `last_step`: the newest step used, so that none is twice."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="totp")
    secret = models.BinaryField()  # sealed
    kek = models.CharField(max_length=32)
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)  # until then it counts for nothing


class RecoveryCode(models.Model):
    """A code kept on paper for the day the other factors are lost. Hashed; good once."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "digest"], name="recovery_code_once")]


class RecoveryTicket(models.Model):
    """A password reset that an officer opened after seeing the person and her papers. Hashed; good once, briefly."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True)
    factors_lost = models.BooleanField(default=False)  # then passkeys, one-time passwords and the card go with it
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(person=models.F("opened_by")), name="nobody_recovers_herself")
        ]


class CardAccount(models.Model):
    """A pairwise subject of the card provider, linked to a person. A renewed card keeps it; ended rows are history."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cards")
    issuer = models.CharField(max_length=200)
    subject_hash = models.BinaryField(max_length=32)
    subject = models.BinaryField()  # sealed
    kek = models.CharField(max_length=32)
    linked_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "subject_hash"], condition=Q(ended_at=None), name="card_of_one_person"
            ),
            models.UniqueConstraint(fields=["person"], condition=Q(ended_at=None), name="one_card_provider_account"),
        ]


class CardCertificate(models.Model):
    """A certificate of a card that was verified here (JPKI): its serial number's history, renewals included."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="card_certificates")
    serial_hash = models.BinaryField(max_length=32, unique=True)
    serial = models.BinaryField()  # sealed: issuer and serial number
    kek = models.CharField(max_length=32)
    not_after = models.DateTimeField()
    linked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    because = models.CharField(max_length=24, blank=True)


class KnownDevice(models.Model):
    """A browser somebody signed in with completely: a stranger's wrong guesses elsewhere do not lock it out."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="known_devices")
    digest = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)


class UsedChallenge(models.Model):
    """A WebAuthn challenge that was answered: it is not answered twice."""

    digest = models.BinaryField(max_length=32, primary_key=True)
    ends_at = models.DateTimeField(db_index=True)


class SignInFailure(models.Model):
    """One failed try, counted for a while and forgotten (phr/smart/attempts.py). What it is about is hashed."""

    digest = models.BinaryField(max_length=32)
    failed_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["digest", "failed_at"], name="sign_in_failures")]
