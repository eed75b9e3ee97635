"""The phr app's tables, gathered for Django."""

from phr.records.jobs import ExportFile, ExportJob, Ingest
from phr.records.models import Change, Range, Resource, Text, Version, Words
from phr.records.profiles.models import Canonical, Package
from phr.smart.login_models import (
    CardAccount,
    CardCertificate,
    KnownDevice,
    Passkey,
    RecoveryCode,
    RecoveryTicket,
    SignInFailure,
    Totp,
    UsedChallenge,
)
from phr.smart.models import (
    AccessToken,
    Application,
    AuthorizationCode,
    AuthorizationRequest,
    DeviceGrant,
    IDToken,
    Launch,
    LaunchContext,
    RefreshToken,
    UsedAssertion,
    UsedCode,
)
from phr.smart.quota_models import AppWrites

__all__ = [
    "AccessToken", "AppWrites", "Application", "AuthorizationCode", "AuthorizationRequest", "Canonical", "CardAccount",
    "CardCertificate", "Change", "DeviceGrant", "ExportFile", "ExportJob", "IDToken", "Ingest", "KnownDevice",
    "Launch", "LaunchContext", "Package", "Passkey", "Range", "RecoveryCode", "RecoveryTicket", "RefreshToken",
    "Resource", "SignInFailure", "Text", "Totp", "UsedAssertion", "UsedChallenge", "UsedCode", "Version", "Words",
]  # fmt: skip
