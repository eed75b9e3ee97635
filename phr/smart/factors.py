"""What a person can prove herself with, and how far it reaches."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from consent.models import Person
from phr.smart import recovery
from phr.smart.login_models import CardAccount, Passkey, Totp


@dataclass(frozen=True, slots=True)
class Means:
    """The factors of one person, beside her password."""

    totp: bool
    passkeys: int
    codes: int
    card: bool

    @property
    def second(self) -> bool:
        """Whether she has a second factor. Recovery codes only stand in for one."""
        return self.totp or self.passkeys > 0

    @property
    def level(self) -> str:
        """What she must prove before she changes them: the card is as good as a second factor."""
        return "aal2" if self.second or self.card else "aal1"

    @property
    def card_level(self) -> str:
        """What she must prove before another card stands for her: the one that does. A lost one ends at the counter."""
        return "aal3" if self.card else self.level


def of(person: Person) -> Means:
    return Means(
        totp=Totp.objects.filter(person=person).exclude(confirmed_at=None).exists(),
        passkeys=Passkey.objects.filter(person=person).count(),
        codes=recovery.codes_left(person),
        card=bool(settings.PHR_CARD_ISSUER)
        and CardAccount.objects.filter(person=person, issuer=settings.PHR_CARD_ISSUER, ended_at=None).exists(),
    )
