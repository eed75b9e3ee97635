"""The permission table: what each route answers to each persona. A route without a row fails the build.

One row per route and method: the route's name, the request, and the status for each of PERSONAS in order.
Each persona carries a bearer token (its demo token) and, if it is a person, a signed-in session.
`{yuki}`, `{hana}`, `{kai}` are Patient ids (Kai lives next door, the stranger is his mother); the other places are
made by `test_permissions`.
"""

from __future__ import annotations

from tests.access import (
    rows_consents,
    rows_decision,
    rows_dispensed,
    rows_flows,
    rows_guardianship,
    rows_log,
    rows_login,
    rows_provisions,
    rows_rights,
    rows_smart,
    rows_trust,
)
from tests.access.row import Row

# fmt: off
TABLE = (
    #                                                             anonymous mother father aunt clinic officer stranger
    # -- open to everybody --
    Row("healthz", "GET", "/healthz",                             "200 200 200 200 200 200 200"),
    Row("readyz", "GET", "/readyz",                               "200 200 200 200 200 200 200"),
    Row("capabilities", "GET", "/fhir/metadata",                  "200 200 200 200 200 200 200"),
    Row("jwks", "GET", "/oauth/jwks",                             "200 200 200 200 200 200 200"),
    Row("peers", "GET", "/api/peers",                             "302 200 200 200 302 200 200"),
    Row("peer-link", "POST", "/api/peers/links",                  "401 404 404 404 404 404 404",
        {"patient": "p-1", "code": "ABCD2345"}),
    Row("peer-callback", "GET", "/api/peers/callback?state=x",    "302 404 404 404 302 404 404"),
    Row("peer-begin", "POST", "/api/peers/none/begin",            "302 404 404 404 302 404 404", ""),
    Row("peer-keys", "GET", "/api/peers/jwks",                    "200 200 200 200 200 200 200"),
    Row("smart-configuration", "GET", "/.well-known/smart-configuration",            "200 200 200 200 200 200 200"),
    Row("fhir-smart-configuration", "GET", "/fhir/.well-known/smart-configuration",  "200 200 200 200 200 200 200"),
    Row("openid-configuration", "GET", "/.well-known/openid-configuration",          "200 200 200 200 200 200 200"),
    Row("authorization-server", "GET", "/.well-known/oauth-authorization-server",    "200 200 200 200 200 200 200"),
    Row("stylesheet", "GET", "/static/tsumugi.css",               "200 200 200 200 200 200 200"),
    Row("demo-callback", "GET", "/demo/callback", "404 404 404 404 404 404 404"),  # exists in the demo only

    # -- the REST door: the mother has her own record open, the father Hana's --
    Row("instance", "GET", "/fhir/Patient/{yuki}",                "401 200 404 404 200 404 404"),
    Row("instance", "GET", "/fhir/Patient/{hana}",                "401 404 200 404 404 404 404"),
    Row("instance", "GET", "/fhir/Patient/{kai}",                 "401 404 404 404 404 404 404"),
    Row("instance", "GET", "/fhir/Observation/{pressure}",        "401 200 404 404 200 404 404"),
    Row("instance", "GET", "/fhir/Observation/{secret}",          "401 200 404 404 404 404 404"),
    Row("instance", "PUT", "/fhir/Observation/{pressure}",        "401 200 405 403 403 405 405", "pressure-again"),
    Row("instance", "PATCH", "/fhir/Observation/{pressure}",      "401 200 404 403 403 404 404", "patch"),
    Row("instance", "PATCH", "/fhir/Observation/{secret}",        "401 200 404 403 404 404 404", "patch"),
    # Deleting what is not there (or not there for you) is done already: 204, and nothing happens.
    Row("instance", "DELETE", "/fhir/Observation/{pressure}",     "401 204 204 403 403 204 204"),
    Row("history", "GET", "/fhir/Observation/{pressure}/_history",     "401 200 404 404 200 404 404"),
    Row("type-history", "GET", "/fhir/Observation/_history",           "401 200 200 200 200 200 200"),
    Row("system-history", "GET", "/fhir/_history",                     "401 200 200 200 200 200 200"),
    Row("version", "GET", "/fhir/Observation/{pressure}/_history/1",   "401 200 404 404 200 404 404"),
    Row("version", "GET", "/fhir/Observation/{secret}/_history/1",     "401 200 404 404 404 404 404"),
    Row("type", "GET", "/fhir/Observation",                       "401 200 200 200 200 200 200"),
    Row("type", "POST", "/fhir/Observation",                      "401 201 422 403 201 422 422", "pressure"),
    Row("type", "POST", "/fhir/Observation",                      "401 422 422 403 422 422 422", "pressure-of-kai"),
    Row("type", "PUT", "/fhir/Observation?_id={pressure}",        "401 200 405 403 403 405 405", "pressure-again"),
    Row("type", "PATCH", "/fhir/Observation?_id={pressure}",      "401 200 404 403 403 404 404", "patch"),
    Row("type", "PATCH", "/fhir/Observation?_id={secret}",        "401 200 404 403 404 404 404", "patch"),
    Row("type", "DELETE", "/fhir/Observation?_id={pressure}",     "401 204 204 403 403 204 204"),
    Row("post-search", "POST", "/fhir/Observation/_search",       "401 200 200 200 200 200 200", "code=8480-6"),
    Row("system-search", "POST", "/fhir/_search",                 "401 200 200 200 200 200 200", "_type=Observation"),
    Row("bundle", "GET", "/fhir?_type=Observation,Patient",       "401 200 200 200 200 200 200"),
    Row("compartment", "GET", "/fhir/Patient/{yuki}/Observation", "401 200 404 404 200 404 404"),
    Row("compartment", "GET", "/fhir/Patient/{hana}/*",           "401 404 200 404 404 404 404"),
    Row("compartment-search", "POST", "/fhir/Patient/{yuki}/Observation/_search",
        "401 200 404 404 200 404 404", "code=x"),
    Row("bundle", "POST", "/fhir",                                "401 200 422 403 200 422 422", "transaction"),
    Row("nowhere", "GET", "/fhir/nothing",                       "404 404 404 404 404 404 404"),
    Row("nowhere", "POST", "/fhir/nothing",                      "404 404 404 404 404 404 404"),
    Row("nowhere", "PUT", "/fhir/nothing",                       "404 404 404 404 404 404 404"),
    Row("nowhere", "PATCH", "/fhir/nothing",                     "404 404 404 404 404 404 404"),
    Row("nowhere", "DELETE", "/fhir/nothing",                    "404 404 404 404 404 404 404"),
    # -- operations --
    Row("operation", "GET", "/fhir/$nothing",                     "404 404 404 404 404 404 404"),
    Row("type-operation", "POST", "/fhir/Patient/$nothing",       "404 404 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$nothing", "404 404 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$everything",  "401 200 404 404 200 404 404"),
    Row("instance-operation", "POST", "/fhir/Patient/{hana}/$everything", "401 404 200 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/Observation/{secret}/$meta", "401 200 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/Observation/{pressure}/$meta", "401 200 404 404 200 404 404"),
    Row("instance-operation", "GET", "/fhir/Observation/{pressure}/$validate", "401 200 404 404 200 404 404"),
    Row("instance-operation", "GET", "/fhir/Observation/{secret}/$validate",   "401 200 404 404 404 404 404"),
    Row("type-operation", "POST", "/fhir/Observation/$validate",  "401 200 200 200 200 200 200", "pressure-of-kai"),
    Row("type-operation", "POST", "/fhir/Patient/$match",         "401 403 403 403 403 403 403", "match"),
    Row("type-operation", "GET", "/fhir/DocumentReference/$docref?patient={yuki}", "401 200 200 200 200 200 200"),
    Row("instance-operation", "GET", "/fhir/Composition/{secret}/$document", "401 404 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/Observation/{pressure}/$explain", "401 200 404 404 200 404 404"),
    Row("instance-operation", "GET", "/fhir/Observation/{secret}/$explain",   "401 200 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$explain", "401 200 404 404 200 404 404"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$explain?actor=class:clinic", "401 200 404 403 403 403 404"),
    Row("version-operation", "POST", "/fhir/Observation/{pressure}/_history/1/$meta", "401 200 404 404 200 404 404"),
    Row("version-operation", "GET", "/fhir/Observation/{secret}/_history/1/$meta", "401 200 404 404 404 404 404"),
    Row("operation", "GET", "/fhir/$meta",                        "401 200 200 404 422 422 200"),
    Row("type-operation", "GET", "/fhir/Observation/$meta",       "401 200 200 404 422 422 200"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$summary",  "401 200 404 404 200 404 404"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$immunization-recommendation",
        "401 200 404 404 200 404 404"),
    Row("instance-operation", "POST", "/fhir/Patient/{yuki}/$immunization-recommendation",
        "401 200 404 404 200 404 404"),
    Row("instance-operation", "GET", "/fhir/Patient/{yuki}/$immunization-status", "401 200 404 404 200 404 404"),
    Row("type-operation", "POST", "/fhir/Patient/$summary",       "401 200 200 404 422 422 200"),
    Row("type-operation", "GET", "/fhir/Observation/$lastn?patient={yuki}&code=8480-6", "401 200 200 200 200 200 200"),
    Row("type-operation", "GET", "/fhir/Patient/$everything",     "401 200 200 404 422 422 200"),
    Row("instance-operation", "POST", "/fhir/Observation/{pressure}/$meta-add",
        "401 200 404 403 403 404 404", "tagged"),
    Row("instance-operation", "POST", "/fhir/Observation/{secret}/$meta-add", "401 200 404 403 404 404 404", "tagged"),
    Row("instance-operation", "POST", "/fhir/Observation/{pressure}/$meta-delete",
        "401 200 404 403 403 404 404", "tagged"),
    Row("instance-operation", "POST", "/fhir/Observation/{secret}/$meta-delete",
        "401 200 404 403 404 404 404", "tagged"),
    Row("type-operation", "GET", "/fhir/Composition/$document?id={secret}", "401 404 404 404 404 404 404"),
    # What codes mean is told to everybody with a token.
    Row("type-operation", "GET", "/fhir/CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male",
        "401 200 200 200 200 200 200"),
    Row("type-operation", "GET", "/fhir/CodeSystem/$subsumes?system=http://hl7.org/fhir/administrative-gender"
        "&codeA=male&codeB=female", "401 200 200 200 200 200 200"),
    Row("instance-operation", "GET", "/fhir/CodeSystem/none/$subsumes?codeA=x&codeB=y", "401 404 404 404 404 404 404"),
    Row("type-operation", "GET", "/fhir/CodeSystem/$validate-code?url=http://hl7.org/fhir/administrative-gender"
        "&code=male", "401 200 200 200 200 200 200"),
    Row("instance-operation", "GET", "/fhir/CodeSystem/none/$validate-code?code=x", "401 404 404 404 404 404 404"),
    Row("type-operation", "GET", "/fhir/ValueSet/$validate-code?url=http://hl7.org/fhir/ValueSet/administrative-gender"
        "&system=http://hl7.org/fhir/administrative-gender&code=male", "401 200 200 200 200 200 200"),
    Row("instance-operation", "GET", "/fhir/ValueSet/none/$validate-code?system=x&code=x",
        "401 404 404 404 404 404 404"),
    Row("type-operation", "GET", "/fhir/ConceptMap/$translate?url=urn:none&system=x&code=x",
        "401 404 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/ConceptMap/none/$translate?system=x&code=x", "401 404 404 404 404 404 404"),
    Row("type-operation", "GET", "/fhir/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
        "401 200 200 200 200 200 200"),
    Row("type-operation", "GET", "/fhir/ValueSet/$expand?url=urn:none", "401 404 404 404 404 404 404"),
    Row("instance-operation", "GET", "/fhir/ValueSet/none/$expand", "401 404 404 404 404 404 404"),

    # -- bulk exports: for system clients, and nobody else's --
    Row("operation", "GET", "/fhir/$export",                      "401 403 403 403 400 403 403"),  # without Prefer
    Row("type-operation", "POST", "/fhir/Patient/$export",        "401 403 403 403 400 403 403"),
    Row("instance-operation", "GET", "/fhir/Group/none/$export",  "401 403 403 403 404 403 403"),
    Row("export", "GET", "/fhir/bulk/{export}",                   "401 404 404 404 200 404 404"),
    Row("export-file", "GET", "/fhir/bulk/{export}/output-Patient-1.ndjson", "401 404 404 404 200 404 404"),
    Row("export", "DELETE", "/fhir/bulk/{export}",                "401 404 404 404 202 404 404"),

    # -- imports: into the record that is open --
    Row("start-import", "POST", "/api/imports/jahis-qr",          "401 202 404 403 202 404 404", "import"),
    Row("import", "GET", "/api/imports/{run}",                    "401 200 404 404 404 404 404"),
    Row("link-number", "POST", "/api/numbers",                    "401 404 404 404 404 404 404",
        {"system": "https://x.example", "value": "1", "code": "AAAAAAAAAA"}),
    Row("steer-import", "POST", "/api/imports/{run}/cancel",      "401 404 404 404 404 404 404"),

    # -- the machine endpoints: who asks is shown by the form, not by a token or a session --
    Row("token", "POST", "/oauth/token",                          "400 400 400 400 400 400 400", "grant_type=password"),
    Row("revoke", "POST", "/oauth/revoke",                        "401 401 401 401 401 401 401", "token=x"),
    Row("introspect", "POST", "/oauth/introspect",                "401 401 401 401 401 401 401", "token=x"),

    # -- the pages: a session is what counts, so the clinic's system is anonymous here --
    Row("home", "GET", "/",                                       "302 200 200 200 302 200 200"),
    Row("sign-in", "GET", "/sign-in",                             "200 302 302 302 200 302 302"),
    Row("sign-in", "POST", "/sign-in", "422 422 422 422 422 422 422", "username=x&password=y"),
    Row("sign-out", "POST", "/sign-out",                          "302 302 302 302 302 302 302", ""),
    Row("language", "POST", "/language",                          "302 302 302 302 302 302 302", "language=en"),
    Row("authorize", "GET", "/oauth/authorize",                   "400 400 400 400 400 400 400"),
    Row("authorize", "POST", "/oauth/authorize",                  "400 400 400 400 400 400 400", ""),
    Row("authorize-decide", "GET", "/oauth/authorize/{asked}",    "302 200 400 400 302 400 400"),
    Row("authorize-decide", "POST", "/oauth/authorize/{asked}",   "302 302 400 400 302 400 400", "decision=deny"),
    Row("app-stop", "POST", "/apps/{launch}/stop",                "302 302 404 404 302 404 404", ""),

    # -- Django's own site, for operators --
    Row("admin", "GET", "/admin/",                                "302 302 302 302 302 302 302"),
    *rows_consents.ROWS,
    *rows_decision.ROWS,
    *rows_dispensed.ROWS,
    *rows_flows.ROWS,
    *rows_guardianship.ROWS,
    *rows_log.ROWS,
    *rows_login.ROWS,
    *rows_provisions.ROWS,
    *rows_rights.ROWS,
    *rows_smart.ROWS,
    *rows_trust.ROWS,
)
# fmt: on
