"""By what a record says that a pregnancy has ended without a child, in whatever form it was said. Pure.

In doubt a pregnancy is over: who has lost one must not be counted on, nor reminded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from phr.records.caring import day_of
from phr.records.systems import ICD10, ICD10_JP, OWN_ITEM, OWN_VISIT

LOST = "loss"  # own item: miscarriage, stillbirth, termination
# ICD-10: pregnancy with abortive outcome, death in the womb, stillbirth (as outcome of delivery, and as cause of death)
CODES = re.compile(r"O0[0-8]|O36\.?4|Z37\.?[1347]|P95")
WORDS = re.compile("流産|死産|中絶|異所性妊娠|子宮外妊娠|胎児死亡|miscarriage|stillbirth|abortion|ectopic pregnancy")
NOT_SO = re.compile("切迫|習慣|既往|歴|threatened|history|recurrent")
_REFUTED = frozenset({"refuted", "entered-in-error"})
_ACTIVE = frozenset({"active", "onhold", "planned", "waitlist"})
# where the day stands; of a time span its end, or else its start
_DAYS = ("effectiveDateTime", "effectiveInstant", "onsetDateTime", "abatementDateTime", "issued", "recordedDate")
_SPANS = ("effectivePeriod", "onsetPeriod", "abatementPeriod")
Resource = Mapping[str, Any]
Span = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Episode:
    """The care of one pregnancy. None: not said."""

    goes_on: bool
    start: date | None
    end: date | None


def day(resource: Resource) -> date | None:
    """When it was, or else when it was said; of a month or a year its last day."""
    spans = [resource[name] for name in _SPANS if isinstance(resource.get(name), Mapping)]
    texts = [span.get("end") or span.get("start") for span in spans]
    texts = [resource.get(name) for name in _DAYS[:3]] + texts + [resource.get(name) for name in _DAYS[3:]]
    days = (day_of(str(text)) for text in texts if text)
    return next((found[0] for found in days if found), None)


def is_loss(resource: Resource) -> bool:
    """Whether an Observation or a Condition tells of a loss."""
    if resource.get("resourceType") == "Observation":
        return (OWN_ITEM, LOST) in _codings(resource.get("code")) and resource.get("valueBoolean") is not False
    if resource.get("resourceType") != "Condition":
        return False
    code = resource.get("code")
    if any(value in _REFUTED for _, value in _codings(resource.get("verificationStatus"))):
        return False
    if any(system in (ICD10, ICD10_JP) and CODES.match(value) for system, value in _codings(code)):
        return True
    text = str(code.get("text", "")) if isinstance(code, Mapping) else ""
    return bool(WORDS.search(text.lower())) and not NOT_SO.search(text.lower())


def episode(resource: Resource) -> Episode | None:
    """An EpisodeOfCare of a pregnancy; None for another."""
    kinds = [coding for concept in resource.get("type", ()) for coding in _codings(concept)]
    if (OWN_VISIT, "prenatal") not in kinds:
        return None
    period = resource.get("period") or {}
    start, end = (day_of(str(period.get(name, ""))) for name in ("start", "end"))
    return Episode(resource.get("status") in _ACTIVE, start[0] if start else None, end[0] if end else None)


def is_over(span: Span, episodes: Mapping[str, Episode], silences: Mapping[str, date]) -> bool:
    """Whether nothing is to be told of a pregnancy of this time span.

    `silences`: the episode each is about, since when. A silence is of the pregnancy its episode falls into, and else of
    that in which it began; where no episode says that another pregnancy goes on, every silence counts. A finished
    episode ends a pregnancy unless another goes on, as at a clinic she changed to.
    """
    within = {id: one for id, one in episodes.items() if _is_of(one, span)}
    going = any(one.goes_on for one in within.values())
    if silences and not going:
        return True
    for about, since in silences.items():
        known = episodes.get(about)
        if about in within if known and (known.start or known.end) else since > span[0]:
            return True
    return bool(within) and not going


def _is_of(one: Episode, span: Span) -> bool:
    """By its start; one without is taken for one of this pregnancy unless it ended before."""
    on = one.start or one.end
    return on is None or span[0] <= on <= span[1]


def _codings(concept: Any) -> Iterator[tuple[str, str]]:
    for coding in concept.get("coding", ()) if isinstance(concept, Mapping) else ():
        yield str(coding.get("system", "")), str(coding.get("code", ""))
