"""Why a decision fell as it did: a rule by its code, and what it rests on. Machine-readable; for the log and `explain`.

A code begins with the step of the decision (trust rules, section 3.1) in which the rule stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """Add, never rename: the codes stand in the log."""

    NO_DOOR = "L0.no-door"
    DOOR_CLOSED = "L0.door-closed"
    PURPOSE_PROHIBITED = "L1.purpose-prohibited"
    PURPOSE_UNKNOWN = "L1.purpose-unknown"
    PERSON_NOT_ACTIVE = "L1.person-not-active"
    ORGANIZATION_NOT_ACTIVE = "L1.organization-not-active"
    SUBJECT_UNKNOWN = "L1.subject-unknown"
    SUBJECT_LOCKED = "L1.subject-locked"
    SUBJECT_ERASED = "L1.subject-erased"
    LINK_FROZEN = "L1.guardianship-frozen"
    LINK_ENDED = "L1.guardianship-ended"
    LINK_NOT_BEGUN = "L1.guardianship-not-begun"
    LINK_OVERDUE = "L1.guardianship-review-overdue"
    RECIPIENT_NOT_ACTIVE = "L1.recipient-not-active"
    CONTRACT_ENDED = "L1.recipient-contract-ended"
    CERTIFICATION_EXPIRED = "L1.recipient-certification-expired"
    RECIPIENT_PURPOSE = "L1.recipient-not-for-this-purpose"
    RECIPIENT_MISSING = "L1.recipient-not-registered"
    MARKED = "L1.protected"
    NO_SUBJECT = "L2.no-subject"
    OPEN = "L2.open-to-all"
    OWN_RECORD = "L2.own-record"
    OWN_WORDS = "L2.own-words"
    NOT_OWN = "L2.not-own-record"
    TOO_YOUNG = "L2.too-young-to-act-alone"
    NO_LINK = "L2.no-guardianship"
    AGE_UNKNOWN = "L2.age-unknown"
    GROWN_UP = "L2.no-guardian-at-this-age"
    GUARDIAN = "L2.guardian"
    BEYOND_GUARDIAN = "L2.beyond-the-guardian"
    NO_ORGANIZATION = "L2.no-organization"
    NOT_STAFF = "L2.not-staff-of-this-organization"
    OWN_ORGANIZATION = "L2.own-organization-wrote-it"
    THE_TRUST = "L2.the-trust-itself"  # it keeps what it writes of its own deeds: consents in the record
    LINKING = "L2.link-request"
    NO_LINKING = "L2.no-link-request"
    LINKING_ONLY = "L2.linking-opens-no-record"
    OTHER_RECORD = "L2.another-record-than-the-token"
    GRANTED = "L3.permitted"
    DENIED = "L3.denied"
    NOT_GRANTED = "L3.no-consent-speaks-of-it"
    NO_GRANT = "L3.no-consent"
    GLASS_SET = "L4.emergency-set"
    GLASS_FULL = "L4.emergency-full"
    GLASS_OVER = "L4.emergency-over"
    GLASS_MISMATCH = "L4.emergency-of-another-record-or-purpose"
    GLASS_NO_CLINICIAN = "L4.no-clinician-on-duty"
    GLASS_FAMILY = "L4.own-family"
    PROVIDED = "L5.provision"
    NO_PROVISION = "L5.no-provision"
    PROVISION_STATE = "L5.provision-not-permitted"
    PROVISION_OVER = "L5.provision-over"
    PROVISION_MISMATCH = "L5.provision-of-another-recipient-record-or-purpose"
    PROGRAM_STOPPED = "L5.program-not-active"
    CONSENT_GONE = "L5.consent-gone"
    OWN_CONSENT = "L5.own-consent-from-16"
    GUARDIANS_CONSENT = "L5.guardians-consent-before-16"
    BOTH_GUARDIANS = "L5.both-guardians"


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule, and the rows it rests on: "guardianship:3", "grant:5", "recipient:2", "provision:…", "glass:4"."""

    rule: Rule
    on: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.rule.value, *self.on))
