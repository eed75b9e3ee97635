"""Anything at all at every route of the table (Hypothesis), pages and machine endpoints too: never a 5xx.

`tests/fhir/test_fuzz_everywhere.py` goes deeper into the REST door; here every route of the server is met.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import Person
from phr.populate.cast import HANA, YUKI
from tests.access.permissions import TABLE
from tests.access.row import FHIR, FORM
from tests.family import KAI, Neighbourhood
from tests.fhir.test_fuzz import JSON, TEXTS, dumped

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
FEW = settings(max_examples=150, suppress_health_check=QUIET)
MANY = settings(max_examples=5000, suppress_health_check=QUIET)

PATHS = sorted({row.path.partition("?")[0] for row in TABLE if not row.path.startswith("/healthz")})
NAMES = [
    "username", "password", "next", "language", "decision", "role", "client_id", "client_secret", "redirect_uri",
    "scope",
    "state", "aud", "code", "code_verifier", "code_challenge", "code_challenge_method", "response_type", "grant_type",
    "refresh_token", "client_assertion", "client_assertion_type", "token", "token_type_hint", "launch", "nonce",
    "prompt",
    "max_age", "patient", "_page", "_format",
]  # fmt: skip
WORDS = [
    "", "x", "tsumugi-app", "clinic", "authorization_code", "client_credentials", "refresh_token", "code",
    "S256", "plain", "allow",
    "self", "openid fhirUser launch/patient patient/*.cruds", "patient/*.rs?", "system/*.*",
    "http://127.0.0.1:8000/demo/callback",
    "http://127.0.0.1:8000/fhir", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "eyJ.e30.x",
    "e30.e30.", "ja", "none",
    "a" * 5000, "\x00", "https://evil.example/", "//evil.example", str(YUKI),
]  # fmt: skip
values = st.sampled_from(WORDS) | TEXTS
fields = st.lists(st.tuples(st.sampled_from(NAMES) | TEXTS, values), max_size=8)
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "Accept", "Accept-Language", "Cookie", "Origin", "Referer",
        "Content-Encoding", "Host"]),
    st.sampled_from(["Bearer x", "Basic !!", "Basic eDp5", "Basic w7/DvzrDvw==", "*/*", "ja",
        "csrftoken=x; sessionid=y", "null",
                     "https://evil.example", "gzip", "evil.example"])
    | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20),
    max_size=2,
)  # fmt: skip


def encoded_pairs(pairs: list[tuple[str, str]]) -> str:
    return urlencode([(n.encode("utf-8", "surrogatepass"), v.encode("utf-8", "surrogatepass")) for n, v in pairs])


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request to some route, with what fits it mixed with what does not."""
    path = draw(st.sampled_from(PATHS))
    gap = st.sampled_from([str(YUKI), str(HANA), str(KAI), "none", "0", "-1", "9" * 30, "x"]) | TEXTS
    while "{" in path:
        head, _, rest = path.partition("{")
        path = head + quote(draw(gap).encode("utf-8", "surrogatepass"), safe="") + rest.partition("}")[2]
    form = encoded_pairs(draw(fields)).encode()
    content, kind = draw(
        st.sampled_from([(form, FORM), (form, FORM), (b"", FORM), (form, FHIR), (form,
            "multipart/form-data; boundary=x"),
                         (b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--",
                             "multipart/form-data; boundary=x")])
        | JSON.map(lambda body: (dumped(body), draw(st.sampled_from([FHIR, "application/json", ""]))))
    )  # fmt: skip
    return {
        "method": draw(
            st.sampled_from(["GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "X"])
        ),
        "path": f"{path}?{encoded_pairs(draw(fields))}",
        "data": content,
        "content_type": kind,
        "headers": draw(HEADERS),
    }


@pytest.fixture
def clients(family: Neighbourhood) -> list[Client]:
    """Nobody; and the mother, signed in and with a token."""
    mother = Client(raise_request_exception=False, headers={"authorization": f"Bearer {family.mother.token}"})
    mother.force_login(Person.objects.get(username="yuki"))
    return [Client(raise_request_exception=False), mother]


def is_harmless(clients: list[Client], request: dict[str, Any]) -> None:
    for client in clients:
        with transaction.atomic():
            answer = client.generic(**request)
            assert answer.status_code < 500, (request, answer)
            if "Location" in answer.headers:
                assert "evil.example" not in answer["Location"].partition("?")[0], (request, answer["Location"])
            transaction.set_rollback(True)


@FEW
@given(requests())
def test_every_route(clients: list[Client], asked: dict[str, Any]) -> None:
    is_harmless(clients, asked)


@pytest.mark.long
@MANY
@given(requests())
def test_every_route_many_times(clients: list[Client], asked: dict[str, Any]) -> None:
    is_harmless(clients, asked)
