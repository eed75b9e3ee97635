"""The phr app's tables, gathered for Django."""

from phr.records.jobs import ExportFile, ExportJob, Ingest
from phr.records.models import Change, Range, Resource, Text, Version, Words
from phr.records.profiles.models import Canonical, Package
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
    SignInFailure,
    UsedAssertion,
    UsedCode,
)

__all__ = [
    "AccessToken", "Application", "AuthorizationCode", "AuthorizationRequest", "Canonical", "Change",
    "DeviceGrant", "ExportFile", "ExportJob", "IDToken", "Ingest", "Launch", "LaunchContext", "Package", "Range",
    "RefreshToken", "Resource", "SignInFailure", "Text", "UsedAssertion", "UsedCode", "Version", "Words",
]  # fmt: skip
