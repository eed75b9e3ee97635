"""Who is who, and who allowed what. Each field is declared personal or plain in `consent/personal.py`."""

from consent.models.grants import EffectiveGrant, Grant
from consent.models.keys import DataKey
from consent.models.log import AuditBatch, AuditEntry, CurrentTransaction
from consent.models.notices import Notice
from consent.models.people import Guardianship, Organization, Person, PersonManager, Subject

__all__ = [
    "AuditBatch", "AuditEntry", "CurrentTransaction", "DataKey", "EffectiveGrant", "Grant", "Guardianship", "Notice",
    "Organization", "Person", "PersonManager", "Subject",
]  # fmt: skip
