"""Terms: every equality a search can ask for, as one keyed 64-bit number. Pure.

The index stores terms, a search asks for terms, and both build them here. A term is the
first 8 bytes (signed) of keyed BLAKE2b over type, parameter, kind and value, so the column
tells nothing without the key. `name` is always the name a parameter is *kept* under
(`SearchParam.kept`).

Forms of a token (FHIR R4 3.1.1.4.10): `system|code`, `|code` (no system), `code` (any system),
`system|` (any code). System URIs are folded to their preferred spelling; codes are case-sensitive
(nearly all code systems in use here are; `:not-in`-like terminology is not the index's business).

A reference is kept as `reference_key XOR self_term`: the key of the parameter and the term of what it names.
Each row of `phr_resource` holds its own self term in `named`, so that SQL can go from a resource to what
refers to it, and back, without a reference in clear: `s.terms @> ARRAY[t.named # reference_key]`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import unquote

from phr.records.systems import preferred

_SEP = "\x1f"  # cannot occur in a URI or a code
_SELF = _SEP + "self" + _SEP
# A reference that names a resource: [base/]Type/id[/_history/version]
_LITERAL = re.compile(
    r"^((?:https?://|urn:)[^\s?#]*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$"
)
WIDE = 8  # with more targets than this (or any), a reference is also kept by bare id


@lru_cache(maxsize=1 << 16)
def hashed(text: str, key: bytes) -> int:
    """The term of a text, as the database keeps it: a signed 64-bit integer. `key`: 16 to 64 bytes."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8, key=key).digest(), "big", signed=True)


def head(type_name: str, name: str, kind: str) -> str:
    """What a term's text starts with.

    Kinds: c n a s t (token), r v i d (reference), u b (uri), q (quantity), $ % (pairs), m (present), x (exact).
    """
    return f"{type_name}.{name}{_SEP}{kind}{_SEP}"


def joined(system: str, code: str) -> str:
    """system and code as one value of a term's text."""
    return preferred(system) + _SEP + code


# What the index stores


def token_texts_below(start: str, system: str | None, code: str) -> tuple[str, ...]:
    """Stored forms of one token below any start: a (any system), and n (none), or c (with system), s (system)."""
    if not system:
        return (f"{start}a{_SEP}{code}", f"{start}n{_SEP}{code}")
    return f"{start}a{_SEP}{code}", f"{start}c{_SEP}{joined(system, code)}", f"{start}s{_SEP}{preferred(system)}"


# What a search asks for


def token_term(type_name: str, name: str, system: str | None, code: str | None, key: bytes) -> int:
    """One asked form: system None = any, "" = none; code None = any (then system is needed)."""
    return hashed(token_text(type_name, name, system, code), key)


def token_text(type_name: str, name: str, system: str | None, code: str | None) -> str:
    """`token_term` before hashing."""
    return token_text_below(type_name + "." + name + _SEP, system, code)


def token_text_below(start: str, system: str | None, code: str | None) -> str:
    """One asked form below any start (`token_texts_below`)."""
    if code is None:
        return f"{start}s{_SEP}{preferred(system or '')}"
    if system is None:
        return f"{start}a{_SEP}{code}"
    if system == "":
        return f"{start}n{_SEP}{code}"
    return f"{start}c{_SEP}{joined(system, code)}"


def self_term(reference: str, key: bytes) -> int:
    """What a resource is called: `Type/id`, or an absolute URL, a urn, a canonical. A version does not count."""
    return hashed(_SELF + without_version(reference), key)


def reference_key(type_name: str, name: str, key: bytes) -> int:
    """What a reference parameter (by its kept name) mixes into self terms."""
    return hashed(head(type_name, name, "r"), key)


def reference_term(type_name: str, name: str, reference: str, key: bytes) -> int:
    """`Type/id`, an absolute URL, a urn or a canonical (a version, if any, must be equal for canonicals).

    Equals `reference_key XOR self_term`.
    """
    return reference_key(type_name, name, key) ^ self_term(reference, key)


def version_term(type_name: str, name: str, reference: str, key: bytes) -> int:
    """A reference to one version, `Type/id/_history/n`, as it stands."""
    return hashed(head(type_name, name, "v") + reference, key)


def bare_id_term(type_name: str, name: str, id: str, key: bytes) -> int:
    """A reference by bare id, where targets are too many to try (see WIDE)."""
    return hashed(head(type_name, name, "i") + id, key)


def logical_term(type_name: str, name: str, system: str | None, value: str, key: bytes) -> int:
    """`:identifier`: a reference by `Reference.identifier`; system None = any, "" = none."""
    kind = head(type_name, name, "d")
    return hashed(kind + ("*" + _SEP + value if system is None else joined(system, value)), key)


def uri_term(type_name: str, name: str, uri: str, key: bytes) -> int:
    """A URI, compared as it stands."""
    return hashed(head(type_name, name, "u") + uri, key)


def below_term(type_name: str, name: str, uri: str, key: bytes) -> int:
    """`:below` of a URI: stands with every URL that is `uri` or lies below it in its path."""
    return hashed(head(type_name, name, "b") + uri.rstrip("/"), key)


def typed_term(type_name: str, name: str, system: str, code: str, value: str, key: bytes) -> int:
    """`:of-type`: an identifier by the system and code of its type, and its (normalised) value."""
    return hashed(head(type_name, name, "t") + joined(system, code) + _SEP + value, key)


def present_term(type_name: str, name: str, key: bytes) -> int:
    """The parameter has a value (`:missing`). By the parameter's own name, not the kept one."""
    return hashed(head(type_name, name, "m"), key)


def exact_term(type_name: str, name: str, text: str, key: bytes) -> int:
    """`:exact`: the whole string, with case and accents."""
    return hashed(head(type_name, name, "x") + text, key)


# References


def literal(reference: str) -> tuple[str | None, str, str] | None:
    """(base URL or None, type, id) of a reference that names a resource, else None."""
    match = _LITERAL.match(reference)
    return (match.group(1), match.group(2), match.group(3)) if match else None


def ancestors(uri: str) -> tuple[str, ...]:
    """A URL and those it lies below, up to its authority; a urn or anything else is its own only ancestor.

    Source: FHIR R4 3.1.1.4.5 (:above, :below): they follow the path, and hold for URLs, not for URNs.
    """
    start = uri.find("://")
    if start < 0:
        return (uri,)
    found = [uri.rstrip("/")]
    while (cut := found[-1].rfind("/")) > start + 2:
        found.append(found[-1][:cut].rstrip("/"))
    return tuple(dict.fromkeys(found))


def without_version(reference: str) -> str:
    """The reference without `/_history/…`."""
    cut = reference.find("/_history/")
    return reference if cut < 0 else reference[:cut]


def relative(reference: str, base: str) -> str:
    """An absolute reference below our own `base` URL as `Type/id`; any other as it is."""
    base = base.rstrip("/") + "/"
    return unquote(reference[len(base) :]) if reference.startswith(base) else reference
