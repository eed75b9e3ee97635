"""A card provider set by halves is refused at the start, and told how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from phr.smart import login_checks, oidc_login


def pem(**of: Any) -> str:
    return str(JWK.generate(**of).export_to_pem(private_key=True, password=None).decode())


def ids(found: list[Any]) -> list[str]:
    return [message.id for message in found]


@pytest.fixture
def card(settings: Any) -> Any:
    settings.PHR_CARD_ISSUER = "https://card.example/api/realms/main"
    settings.PHR_CARD_CLIENT_ID = "tsumugi"
    settings.PHR_CARD_KEY = pem(kty="EC", crv="P-256")
    return settings


def test_off_is_fine_and_so_is_whole(settings: Any) -> None:
    assert not login_checks.card_provider_is_usable(None)
    assert not login_checks.levels_can_be_reached(None)
    assert not login_checks.card_files_are_there(None)


def test_whole_is_fine(card: Any) -> None:
    assert not login_checks.card_provider_is_usable(None)
    card.PHR_CARD_KEY = pem(kty="RSA", size=2048)
    assert oidc_login.signing_key(card.PHR_CARD_KEY)[1] == "RS256"
    assert not login_checks.card_provider_is_usable(None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHR_CARD_CLIENT_ID", ""), ("PHR_CARD_KEY", ""), ("PHR_CARD_KEY", "nonsense"), ("PHR_CARD_SCOPE", "name"),
        ("PHR_CARD_KEY", pem(kty="EC", crv="P-384")), ("PHR_CARD_KEY", pem(kty="RSA", size=1024)),
        ("PHR_CARD_KEY", JWK.generate(kty="EC", crv="P-256").export_to_pem().decode()),
        ("PHR_CARD_ISSUER", "http://card.example"), ("PHR_CARD_ENDPOINTS", ["https://card.example/a"]),
        ("PHR_CARD_ENDPOINTS", ["https://card.example/a", "http://card.example/t", "https://card.example/k"]),
    ],
)  # fmt: skip
def test_halves_are_refused(card: Any, name: str, value: Any) -> None:
    setattr(card, name, value)
    assert ids(login_checks.card_provider_is_usable(None)) == ["phr.E121"]


def test_a_level_nobody_reaches_is_refused(settings: Any) -> None:
    settings.PHR_ACR_DEEDS = "aal3"
    assert ids(login_checks.levels_can_be_reached(None)) == ["phr.E122"]
    settings.PHR_CARD_ISSUER = "https://card.example"
    assert not login_checks.levels_can_be_reached(None)


def test_the_verifiers_files(settings: Any, tmp_path: Path) -> None:
    settings.PHR_JPKI_BACKEND = "own"
    assert ids(login_checks.card_files_are_there(None)) == ["phr.E123"]
    for name in ("PHR_JPKI_CA", "PHR_JPKI_CRL"):
        (tmp_path / name).touch()
        setattr(settings, name, str(tmp_path / name))
    assert not login_checks.card_files_are_there(None)
