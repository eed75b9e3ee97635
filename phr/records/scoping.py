"""Scope -> SQL: the twin of `consent.scope.Scope.covers`, applied to every table reference.

The generated condition speaks of one alias of `phr_resource` (or `phr_version`). Values travel as
named parameters. An empty scope compiles to FALSE. Equality with the Python form is a property test (M-5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from consent.scope import (
    ACTION_OF,
    ANYONE,
    LABELS,
    LISTS,
    OPEN_TYPES,
    ORDINARY,
    Basis,
    Door,
    GrantRow,
    Mark,
    Scope,
    row_concerns,
)

SQL = str
Row = tuple[str, str]  # the alias that carries the Facts, the alias that carries type and id


@dataclass(slots=True)
class Params:
    """Names each value as it is written into SQL."""

    values: dict[str, Any] = field(default_factory=dict)

    def __call__(self, value: Any) -> str:
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


_OPEN = ", ".join(f"'{type}'" for type in sorted(OPEN_TYPES))
_LISTS = ", ".join(f"'{type}'" for type in sorted(LISTS))
Known = Mapping[UUID, Sequence[GrantRow]]


def scope_sql(
    scope: Scope, letter: str, p: Params, *, alias: str = "r", named: str = "", known: Known | None = None
) -> SQL:
    """The condition under which a row of `alias` may be touched by the interaction `letter` (c r u d s).

    `named`: the alias that carries type and id, where that is another one (a version's resource).
    `known`: the effective rows of every subject the rows can be about, where these are few: they go into
    the text and the table is not joined. A subject that is not among them has no rows.
    """
    named = named or alias
    doors = _any([_door(d, p, alias, named) for d in scope.doors if letter in d.letters])
    if doors == "FALSE":
        return "FALSE"
    owned = _owned(scope, letter, p, (alias, named), known)
    if scope.subjects is None:
        doors += f" AND {_standing(alias)}"
    free = []
    if letter in scope.open_letters:
        free.append(f"{named}.type IN ({_OPEN})")
    if keepers := scope.list_keepers(letter):
        kept = f"coalesce({alias}.author = ANY({p(sorted(keepers))}), FALSE)"
        free.append(f"({named}.type IN ({_LISTS}) AND {kept})")
    if not free:
        return f"({doors} AND {owned})"
    return f"({doors} AND ({owned} OR ({alias}.subject_id IS NULL AND ({' OR '.join(free)}))))"


def _standing(alias: str) -> SQL:
    """Step L1 for a caller without a patient in context: nothing of a person locked or erased, whoever wrote it.

    The state of a person is no Fact, so this has no Python form. A caller bound to a patient is refused by `decide`.
    """
    about = f"x.id = ANY(ARRAY[{alias}.subject_id, {alias}.subject2_id])"
    return f"NOT EXISTS (SELECT 1 FROM consent_subject x WHERE {about} AND x.state <> 'active')"


def _any(conditions: list[SQL]) -> SQL:
    if "TRUE" in conditions:
        return "TRUE"
    conditions = [c for c in conditions if c != "FALSE"]
    return "(" + " OR ".join(conditions) + ")" if conditions else "FALSE"


def _door(door: Door, p: Params, alias: str, named: str) -> SQL:
    parts = [] if door.type == "*" else [f"{named}.type = {p(door.type)}"]
    parts += [f"{alias}.terms && {p(sorted(choice))}::bigint[]" for choice in door.terms]
    return "(" + " AND ".join(parts) + ")" if parts else "TRUE"


def _owned(scope: Scope, letter: str, p: Params, row: Row, known: Known | None) -> SQL:
    """Every subject must end in a permit. Where the table is joined the verdict is written once, over both:
    the planner takes longer over such a condition than the index over the rows."""
    alias = row[0]
    marks = f" AND {alias}.marks & {p(int(scope.barred_marks))} = 0" if scope.barred_marks else ""
    if scope.grants and known is None:
        both = f"unnest(ARRAY[{alias}.subject_id, {alias}.subject2_id]) AS s(id)"
        verdict = _permits(scope, letter, p, row, "s.id", None)
        refused = f"EXISTS (SELECT 1 FROM {both} WHERE s.id IS NOT NULL AND ({verdict}) IS NOT TRUE)"
        return f"({alias}.subject_id IS NOT NULL AND NOT {refused}{marks})"
    first = _permits(scope, letter, p, row, f"{alias}.subject_id", known)
    if first == "FALSE":
        return "FALSE"
    second = _permits(scope, letter, p, row, f"{alias}.subject2_id", known)
    return f"({alias}.subject_id IS NOT NULL AND {first} AND ({alias}.subject2_id IS NULL OR {second}){marks})"


def _permits(scope: Scope, letter: str, p: Params, row: Row, subject: SQL, known: Known | None) -> SQL:
    """One subject's verdict: a basis no deny can touch, or no deny and some basis or permit."""
    bound = ""
    if scope.subjects is not None:
        if not scope.subjects:
            return "FALSE"
        bound = f"{subject} = ANY({p(sorted(scope.subjects))}) AND "
    bases = [b for b in scope.bases if letter in b.letters]
    strong = _any([_basis(b, p, row[0], subject) for b in bases if b.beats_deny])
    weak = _any([_basis(b, p, row[0], subject) for b in bases if not b.beats_deny])
    if not scope.grants:
        verdict = _any([strong, weak])
        return "FALSE" if verdict == "FALSE" else f"({bound}{verdict})"
    if known is not None:
        told = [f"({subject} = {p(s)} AND {_spoken(scope, letter, p, row, rows, weak)})" for s, rows in known.items()]
        verdict = _any([strong, *told])
        return "FALSE" if verdict == "FALSE" else f"({bound}{verdict})"
    deny = _deny(scope, letter, p, row, subject)
    permit = _exists("g", _match("g", True, scope, letter, p, row, subject))
    return f"({bound}{_any([strong, f'(NOT {deny} AND {_any([weak, permit])})'])})"


def _spoken(scope: Scope, letter: str, p: Params, row: Row, rows: Sequence[GrantRow], weak: SQL) -> SQL:
    """One subject's verdict from rows at hand: `consent.scope.by_rows` and the weak bases, as constants."""
    now, action = scope.now, ACTION_OF[letter]
    here = [
        r for r in rows
        if row_concerns(r, actors=scope.names(permit=r.permit), purpose=scope.purpose, action=action, now=now)
    ]  # fmt: skip
    permits = [r for r in here if r.permit]
    yes = _any([weak, *(_describes(r, p, row) for r in permits)])
    if yes == "FALSE":
        return "FALSE"
    denies = []
    for deny in (r for r in here if not r.permit):
        below = [e for e in permits if e.grant == deny.grant and e.path.startswith(deny.path + ".")]
        denies.append(f"({_describes(deny, p, row)} AND NOT {_any([_describes(e, p, row) for e in below])})")
    return f"({yes} AND NOT {_any(denies)})"


def _describes(g: GrantRow, p: Params, row: Row) -> SQL:
    """`consent.scope.row_describes` as SQL, with the row's values as constants."""
    r, named = row
    unknown = "FALSE" if g.permit else "TRUE"
    parts = [f"NOT ({_unnamed(p, r, f'{p(int(m))}::bigint', permit=g.permit)})" for m in g.category_masks]
    labels = f"{r}.categories & {p(int(LABELS))}::bigint"
    if g.permit:
        parts.append(f"{r}.level <= {p(g.level)} AND {labels} {'<>' if g.label_masks else '='} 0")
        parts += [f"{labels} & ~{p(int(m))}::bigint = 0" for m in g.label_masks]
    else:
        parts.append(f"{r}.level >= {p(g.level)}")
        parts += [f"{labels} & {p(int(m))}::bigint <> 0" for m in g.label_masks]
    if g.data_low is not None or g.data_high is not None:
        parts.append(f"coalesce({_period(g, p, r)}, {unknown})")
    if g.author is not None:
        parts.append(f"coalesce({r}.author = {p(g.author)}, {unknown})")
    if g.item is not None:
        parts.append(f"{named}.type || '/' || {named}.fhir_id = {p(g.item)}")
    return "(" + " AND ".join(parts) + ")"


def _unnamed(p: Params, r: str, mask: SQL, *, permit: bool) -> SQL:
    """`not consent.scope.named`: a Clause that names the categories of `mask` does not speak of the row."""
    if not permit:
        return f"{r}.categories & {mask} = 0"
    left_out = f"{r}.categories & {p(int(ORDINARY))}::bigint & ~{mask} <> 0"
    return f"{r}.categories & {mask} = 0 OR ({r}.marks & {p(int(Mark.MIXED))} <> 0 AND {left_out})"


def _period(g: GrantRow, p: Params, r: str) -> SQL:
    """A permit wants the clinical time inside, a deny meets it by overlap; NULL where there is none."""
    begins, ends = ("clinical_low >=", "clinical_high <=") if g.permit else ("clinical_high >", "clinical_low <")
    parts = []
    if g.data_low is not None:
        parts.append(f"{r}.{begins} {p(g.data_low)}")
    if g.data_high is not None:
        parts.append(f"{r}.{ends} {p(g.data_high)}")
    known = f"{r}.clinical_low IS NOT NULL AND {r}.clinical_high IS NOT NULL"
    return f"CASE WHEN {known} THEN {' AND '.join(parts)} END"


def _basis(basis: Basis, p: Params, alias: str, subject: SQL) -> SQL:
    parts = []
    if basis.subject is not None:
        parts.append(f"{subject} = {p(basis.subject)}")
    if basis.author is None:
        parts.append(f"{alias}.author IS NULL")
    elif basis.author != ANYONE:
        parts.append(f"{alias}.author = {p(basis.author)}")
    parts.append(f"{alias}.categories & ~{p(int(basis.categories))}::bigint = 0")
    parts.append(f"{alias}.level <= {p(int(basis.level))}")
    return "(" + " AND ".join(parts) + ")"


def _exists(alias: str, condition: SQL) -> SQL:
    return f"EXISTS (SELECT 1 FROM consent_effectivegrant {alias} WHERE {condition})"


def _deny(scope: Scope, letter: str, p: Params, row: Row, subject: SQL) -> SQL:
    """A deny row counts unless a permit row of the same grant below it matches too."""
    deny = _match("d", False, scope, letter, p, row, subject)
    below = _match("e", True, scope, letter, p, row, subject)
    exception = _exists("e", f"e.grant_id = d.grant_id AND starts_with(e.path, d.path || '.') AND {below}")
    return _exists("d", f"{deny} AND NOT {exception}")


def _match(g: str, permit: bool, scope: Scope, letter: str, p: Params, row: Row, subject: SQL) -> SQL:
    (r, named), unknown = row, "FALSE" if permit else "TRUE"
    actors = sorted(scope.names(permit=permit))
    parts = [
        f"{g}.subject_id = {subject}",
        f"{g}.permit = {'TRUE' if permit else 'FALSE'}",
        f"{g}.grantee = ANY({p(['', *actors])})",
        f"{g}.grantees <@ {p(actors)}::varchar[]",
        f"coalesce({g}.valid_from <= {p(scope.now)}, TRUE)",
        f"coalesce({g}.valid_to > {p(scope.now)}, TRUE)",
        f"coalesce({g}.purpose = {p(scope.purpose)}, TRUE)",
        f"coalesce({g}.action = {p(ACTION_OF[letter])}, TRUE)",
        f"NOT EXISTS (SELECT 1 FROM unnest({g}.category_masks) m WHERE {_unnamed(p, r, 'm', permit=permit)})",
        f"coalesce({g}.item = {named}.type || '/' || {named}.fhir_id, TRUE)",
        f"({g}.author IS NULL OR coalesce({g}.author = {r}.author, {unknown}))",
        _labels(g, permit, p, r),
        _time(g, permit, r),
    ]
    return " AND ".join(parts)


def _labels(g: str, permit: bool, p: Params, r: str) -> SQL:
    labels = f"{r}.categories & {p(int(LABELS))}::bigint"
    if not permit:
        return f"{r}.level >= {g}.level AND NOT EXISTS (SELECT 1 FROM unnest({g}.label_masks) m WHERE {labels} & m = 0)"
    return (
        f"{r}.level <= {g}.level"
        f" AND (cardinality({g}.label_masks) > 0) = ({labels} <> 0)"
        f" AND NOT EXISTS (SELECT 1 FROM unnest({g}.label_masks) m WHERE {labels} & ~m <> 0)"
    )


def _time(g: str, permit: bool, r: str) -> SQL:
    stated = f"({g}.data_low IS NULL AND {g}.data_high IS NULL)"
    unknown = f"({r}.clinical_low IS NULL OR {r}.clinical_high IS NULL)"
    if permit:
        inside = (
            f"coalesce({r}.clinical_low >= {g}.data_low, TRUE) AND coalesce({r}.clinical_high <= {g}.data_high, TRUE)"
        )
        return f"({stated} OR (NOT {unknown} AND {inside}))"
    overlap = f"coalesce({r}.clinical_high > {g}.data_low, TRUE) AND coalesce({r}.clinical_low < {g}.data_high, TRUE)"
    return f"({stated} OR {unknown} OR ({overlap}))"
