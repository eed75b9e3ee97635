"""What peers find here: our public keys."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from integrations.fhir_peer import keys


def jwks(request: HttpRequest) -> HttpResponse:
    """The JWK Set peers know us by (RFC 7517 §5). Public."""
    return JsonResponse(keys.public_set())
