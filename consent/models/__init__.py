"""Who is who, and who allowed what. Each field is declared personal or plain in `consent/personal.py`."""

from consent.models.glass import EmergencyAccess
from consent.models.grants import EffectiveGrant, Grant
from consent.models.guardianship import (
    Adoption,
    Birth,
    JointAct,
    JointAnswer,
    Milestone,
    ProtectionCase,
    Silence,
    Suspension,
)
from consent.models.keys import DataKey
from consent.models.log import AuditBatch, AuditEntry, CurrentTransaction, PublishedHead
from consent.models.notices import Notice
from consent.models.people import Guardianship, Organization, Person, PersonManager, Subject
from consent.models.provisions import (
    Benefit,
    Complaint,
    Confirmation,
    DeletionCertificate,
    Incident,
    Provision,
    ProvisionRequest,
    UsageReport,
)
from consent.models.rights import Correction, Erasure, LegalHold, Transfer
from consent.models.trust import BoardMember, EthicsDecision, Mandate, OnwardException, Program, Recipient, Terms

__all__ = [
    "Adoption",
    "AuditBatch",
    "AuditEntry",
    "Benefit",
    "Birth",
    "BoardMember",
    "Complaint",
    "Confirmation",
    "Correction",
    "CurrentTransaction",
    "DataKey",
    "DeletionCertificate",
    "EffectiveGrant",
    "EmergencyAccess",
    "Erasure",
    "EthicsDecision",
    "Grant",
    "Guardianship",
    "Incident",
    "JointAct",
    "JointAnswer",
    "LegalHold",
    "Mandate",
    "Milestone",
    "Notice",
    "OnwardException",
    "Organization",
    "Person",
    "PersonManager",
    "Program",
    "ProtectionCase",
    "Provision",
    "ProvisionRequest",
    "PublishedHead",
    "Recipient",
    "Silence",
    "Subject",
    "Suspension",
    "Terms",
    "Transfer",
    "UsageReport",
]  # fmt: skip
