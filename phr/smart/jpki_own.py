"""Verifying JPKI certificates here, for a certified operator: chain, kind, validity, revocation list, signature.

The CA's certificates and its revocation lists are PEM files (PHR_JPKI_CA, PHR_JPKI_CRL) that the operator keeps fresh:
the list is published daily, and one out of date refuses everybody. Sources: RFC 5280 §4.2.1.3, §5, §6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.x509.oid import ExtensionOID
from django.conf import settings

from phr.smart.jpki import Kind, NotVerified, Reason, Verified

LONGEST = 8192  # bytes of a certificate
BITS = 2048
STRONG = (SHA256, SHA384, SHA512)
_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class Own:
    """Verifies with the `cryptography` library and the files of the settings."""

    def verify(self, *, challenge: bytes, signature: bytes, certificate: bytes, kind: Kind, now: datetime) -> Verified:
        try:
            found = x509.load_der_x509_certificate(certificate[:LONGEST])
            key = _key_of(found, kind)
            issuer = _issuer(found, now)
        except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise NotVerified(Reason.MALFORMED) from error
        if now < found.not_valid_before_utc:
            raise NotVerified(Reason.NOT_YET)
        if now > found.not_valid_after_utc:
            raise NotVerified(Reason.EXPIRED)
        _check_status(found, issuer, now)
        try:
            key.verify(signature, challenge, padding.PKCS1v15(), SHA256())
        except InvalidSignature as error:
            raise NotVerified(Reason.SIGNATURE) from error
        return Verified(
            issuer=found.issuer.rfc4514_string(), serial=found.serial_number, kind=kind,
            not_after=found.not_valid_after_utc,
        )  # fmt: skip


def _key_of(certificate: x509.Certificate, kind: Kind) -> rsa.RSAPublicKey:
    """The public key, if the certificate is of this kind: nonRepudiation is set for signatures and only there."""
    usage = _usage(certificate)
    if usage is None or not usage.digital_signature or usage.key_cert_sign or _is_ca(certificate):
        raise NotVerified(Reason.KIND)
    if usage.content_commitment is not (kind is Kind.SIGNATURE):
        raise NotVerified(Reason.KIND)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < BITS:
        raise NotVerified(Reason.KIND)
    return key


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _issuer(certificate: x509.Certificate, now: datetime) -> x509.Certificate:
    """The configured CA that issued it: by name and by signature, itself a CA in its time."""
    if not isinstance(certificate.signature_hash_algorithm, STRONG):
        raise NotVerified(Reason.CHAIN)
    for authority in authorities(settings.PHR_JPKI_CA):
        usage = _usage(authority)
        if not _is_ca(authority) or usage is None or not (usage.key_cert_sign and usage.crl_sign):
            continue
        if not authority.not_valid_before_utc <= now <= authority.not_valid_after_utc:
            continue
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority
    raise NotVerified(Reason.CHAIN)


def _check_status(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    """Against the newest list of the issuer that is in force. No such list: not believed."""
    fitting = [one for one in lists(settings.PHR_JPKI_CRL) if _in_force(one, issuer, now)]
    if not fitting:
        raise NotVerified(Reason.STATUS_UNKNOWN)
    newest = max(fitting, key=lambda one: one.last_update_utc)
    entry = newest.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return
    try:
        flag = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        flag = x509.ReasonFlags.unspecified
    changed = flag is x509.ReasonFlags.affiliation_changed
    raise NotVerified(Reason.AFFILIATION_CHANGED if changed else Reason.REVOKED)


def _in_force(listed: x509.CertificateRevocationList, issuer: x509.Certificate, now: datetime) -> bool:
    key, next_update = issuer.public_key(), listed.next_update_utc
    if listed.issuer != issuer.subject or not isinstance(key, rsa.RSAPublicKey):
        return False
    if next_update is None or not listed.last_update_utc <= now < next_update:
        return False
    # A list of a part of the certificates only (§5.2.5), or of changes only (§5.2.4), says nothing of the others.
    partial = {ExtensionOID.ISSUING_DISTRIBUTION_POINT, ExtensionOID.DELTA_CRL_INDICATOR}
    if any(extension.oid in partial for extension in listed.extensions):
        return False
    return isinstance(listed.signature_hash_algorithm, STRONG) and listed.is_signature_valid(key)


def authorities(path: str) -> Sequence[x509.Certificate]:
    """The CA's certificates; read again when the file changes."""
    return _authorities(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _authorities(path: str, changed: int) -> Sequence[x509.Certificate]:
    return x509.load_pem_x509_certificates(Path(path).read_bytes())


def lists(path: str) -> Sequence[x509.CertificateRevocationList]:
    """The revocation lists; read again when the file changes. None while there is no file."""
    try:
        return _lists(path, Path(path).stat().st_mtime_ns)
    except OSError:
        return []


@lru_cache(maxsize=2)
def _lists(path: str, changed: int) -> Sequence[x509.CertificateRevocationList]:
    return [x509.load_pem_x509_crl(pem) for pem in _PEM_CRL.findall(Path(path).read_bytes())]
