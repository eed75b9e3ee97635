"""What stands beside the matches of a search: `_include`, `_revinclude`, step by step.

Use it through `gateway.Records`. Each direction of each step is one statement, within the caller's scope: what is
hidden is not there, and leaves no trace. Source: FHIR R4 search.html §3.1.1.5.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from uuid import UUID

from django.conf import settings

from consent.scope import OPEN_TYPES
from phr.records import body, pointing, store, vault
from phr.records.definitions import concrete_types
from phr.records.pointing import Target
from phr.records.reading import Reading, TooCostly, bounded, fetch
from phr.records.scoping import SQL, Known, Params, scope_sql
from phr.records.search import terms
from phr.records.search.params import params_for
from phr.records.search.query import Include
from phr.records.store import Stored

DEEPEST = 5  # steps of :iterate
MOST_INCLUDED = 1000  # beside one page
MOST_FOLLOWED = 5000  # references of one step

CUT = (
    f"一部を省きました (1 ページに {MOST_INCLUDED} 件まで)。Not everything is here: at most {MOST_INCLUDED} resources"
    " are included in a page."
)
DEEP = f"参照は {DEEPEST} 段まで辿ります。There may be more: references are followed {DEEPEST} steps deep."


class Including(Reading):
    """What one caller may see beside what was found."""

    def included(
        self, matches: Sequence[Stored], includes: Sequence[Include], *, known: Known | None
    ) -> tuple[list[Stored], str | None]:
        """Every resource that the includes bring, each once and no match among them; and why some were left out.

        `known`: the effective rows of whom the matches can be about. Nothing is logged here. Raises TooCostly.
        """
        seen = {found.reference: found.pk for found in matches}
        brought: list[Stored] = []
        layer, active = matches, includes
        for _ in range(DEEPEST):
            fresh, cut = self._step(layer, active, seen, MOST_INCLUDED - len(brought), known)
            brought += fresh
            if cut:
                return brought, CUT
            layer, active = fresh, [include for include in includes if include.iterate]
            if not layer or not active:
                return brought, None
        return brought, DEEP

    def _step(
        self, layer: Sequence[Stored], active: Sequence[Include], seen: dict[str, int], room: int, known: Known | None
    ) -> tuple[list[Stored], bool]:
        """What the resources of one layer point to, and what points to them; whether more would have come."""
        forward = [include for include in active if not include.reverse]
        names, cut = _names(layer, forward, seen) if forward else ([], False)
        fresh: list[Stored] = []
        if names:
            p = Params()
            fresh, more = self._brought(_named(names, p), p, room, seen, self._for(names, known))
            cut = cut or more
        if len(forward) < len(active) and not cut:
            p = Params()
            behind, more = self._brought(_behind(layer, active, p), p, room - len(fresh), seen, self._for(None, known))
            return fresh + behind, more
        return fresh, cut

    def _brought(
        self, condition: SQL, p: Params, room: int, seen: dict[str, int], known: Known | None
    ) -> tuple[list[Stored], bool]:
        scope = scope_sql(self.scope, "s", p, known=known)
        # The sum keeps the planner from walking the primary key in order until it has found enough.
        others = f"NOT r.deleted AND r.id <> ALL({p([*seen.values()])})"
        sql = (
            f"{store.select(terms=self.granular)} WHERE {condition} AND {others} AND {scope}"
            f" ORDER BY r.id + 0 LIMIT {p(room + 1)}"
        )
        rows = fetch(bounded(sql), p)
        if not room:
            return [], bool(rows)
        found, _, more = self._page(rows, room, letter="s", known=known)
        seen |= {one.reference: one.pk for one in found}
        return found, more

    def _for(self, names: Iterable[Target] | None, known: Known | None) -> Known | None:
        """The effective rows, if they are those of everybody the included can be about."""
        if known is None or (self.scope.subjects is not None and self.scope.subjects <= known.keys()):
            return known
        if names is None:
            return None
        return (
            known
            if all(kind in OPEN_TYPES or (kind == "Patient" and _uuid(id) in known) for kind, id in names)
            else None
        )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _names(layer: Iterable[Stored], forward: Sequence[Include], seen: dict[str, int]) -> tuple[list[Target], bool]:
    """What a layer points to and is not here yet; whether it was more than one step follows."""
    base = f"{settings.PHR_BASE_URL}/fhir"
    kinds = {include.source for include in forward}
    names: dict[Target, None] = {}
    for one in layer:
        if one.body and ("*" in kinds or one.type in kinds):
            names |= pointing.targets(body.parse(one.body), forward, base=base)
    fresh = (name for name in names if "/".join(name) not in seen)
    chosen = list(islice(fresh, MOST_FOLLOWED + 1))
    return chosen[:MOST_FOLLOWED], len(chosen) > MOST_FOLLOWED


def _named(names: Iterable[Target], p: Params) -> SQL:
    """Rows by type and id; and those without a person by their canonical URL."""
    ids: dict[str, list[str]] = {}
    for kind, id in names:
        ids.setdefault(kind, []).append(id)
    urls = ids.pop("", [])
    ways = [f"(r.type = {p(kind)} AND r.fhir_id = ANY({p(found)}))" for kind, found in ids.items()]
    if urls:
        hashes = [terms.uri_term(kind, "url", url, vault.index_key()) for kind in _canonical() for url in urls]
        ways.append(f"(r.type = ANY({p(list(_canonical()))}) AND r.terms && {p(hashes)}::bigint[])")
    return "(" + " OR ".join(ways) + ")"


@lru_cache(maxsize=1)
def _canonical() -> tuple[str, ...]:
    """The types that have a canonical URL."""
    return tuple(sorted(kind for kind in concrete_types() if "url" in params_for(kind)))


def _behind(layer: Iterable[Stored], includes: Sequence[Include], p: Params) -> SQL:
    called = [(one.type, one.id, _url(one)) for one in layer]
    try:
        types, hashes = pointing.back(called, includes, vault.index_key())
    except pointing.TooMany:
        limit = f"more than {pointing.MOST_TERMS} references would have to be looked for at once"
        raise TooCostly(f"_revinclude: {limit}; name a type and a parameter, or ask for smaller pages") from None
    if not hashes:
        return "FALSE"
    return f"r.type = ANY({p(sorted(types))}) AND r.terms && {p(sorted(hashes))}::bigint[]"


def _url(found: Stored) -> str | None:
    """What a resource without a person is called by canonical references."""
    if found.type not in OPEN_TYPES or b'"url"' not in (found.body or b""):
        return None
    url = body.parse(found.body or b"").get("url")
    return url if isinstance(url, str) else None
