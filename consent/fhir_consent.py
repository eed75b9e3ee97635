"""FHIR R4 Consent read into a tree of Clauses (trust rules E-1 to E-7). Pure: dict in, Reading out.

What the tree cannot say is named by its place and never guessed: provision.code and a data.meaning other than
instance speak of what is no Fact. Values that are not understood are kept; they narrow a permit and widen a deny.
The way back is `consent.fhir_consent_out`. Sources: R4 consent.html; IHE PCF (root provision.type); v3-ActReason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from consent import clauses, rules
from consent.scope import Clause

OWN = "https://tsumugi.example/fhir"
CATEGORY = f"{OWN}/CodeSystem/category"  # names of consent.scope.Category: ordinary ones in `class`, labels below
RECIPIENT_CLASS = f"{OWN}/CodeSystem/recipient-class"
ORGANIZATION = f"{OWN}/NamingSystem/organization"  # Organization.code
PERSON = f"{OWN}/NamingSystem/person"
AUTHOR = f"{OWN}/StructureDefinition/consent-author"  # modifierExtension of a provision: who wrote the data
ASK = f"{OWN}/StructureDefinition/consent-ask"  # modifierExtension of the Consent: ask each time
INSTITUTION = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no"
PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"

LEVEL_OF = {"U": 1, "L": 1, "M": 2, "N": 2, "R": 3, "V": 4}
# v3-ActCode, information sensitivity -> label; as phr.records.classes has them for what a resource says of itself
SENSITIVITY = {
    "PSY": "PSY", "PSYTHPN": "PSY", "BH": "PSY", "COGN": "PSY", "MH": "PSY", "EMOTDIS": "PSY", "DVD": "PSY",
    "HIV": "HIV", "STD": "STI", "SDV": "SDV", "VIO": "SDV", "GDIS": "GDIS", "SICKLE": "GDIS", "SCA": "GDIS",
    "SUD": "SUD", "ETH": "SUD", "ETHUD": "SUD", "OPIOIDUD": "SUD", "SEX": "UNCLASSIFIED", "TBOO": "UNCLASSIFIED",
    "SPI": "UNCLASSIFIED",
}  # fmt: skip
BASE = {"OPTIN": True, "OPTOUT": False}
ELEMENTS = {  # of a Clause -> of a provision
    "purposes": "purpose", "actors": "actor", "actions": "action", "valid_from": "period", "valid_to": "period",
    "categories": "class", "labels": "securityLabel", "level": "securityLabel", "data_low": "dataPeriod",
    "data_high": "dataPeriod", "authors": "modifierExtension", "items": "data",
}  # fmt: skip
_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", re.ASCII)
_LITERAL = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64}", re.ASCII)
_DEEPEST = clauses.DEEPEST


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a Consent is not put in force as it stands. `place`: FHIRPath; `why`: Japanese, then English."""

    place: str
    why: str


@dataclass(frozen=True, slots=True)
class Directory:
    """Who is registered: codes and literal references of organisations -> their number; and back, with names."""

    codes: Mapping[str, int] = field(default_factory=dict)
    references: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # actor -> what it is called

    def code_of(self, organization: int) -> str | None:
        return next((code for code, pk in self.codes.items() if pk == organization), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a Consent says. `unfit`: sound, but more than a tree can say; `broken`: it cannot be read at all (E-5)."""

    root: Clause | None
    ask: bool = False
    unfit: tuple[Reason, ...] = ()
    broken: tuple[Reason, ...] = ()
    denies: bool = False  # something in it denies, wherever


def normalise(consent: Mapping[str, Any], directory: Directory) -> Reading:
    """Read one Consent. Never raises: whatever comes is named by its place."""
    reader = _Reader(directory)
    root = reader.root(consent)
    denies = _denies(consent)
    if reader.broken:
        return Reading(None, reader.ask, tuple(reader.unfit), tuple(reader.broken), denies)
    return Reading(root, reader.ask, tuple(reader.unfit), (), denies)


def element(place: str) -> str:
    """Where in a Consent a place of a tree stands: root.clauses[1].labels -> Consent.provision.provision[1]…"""
    head, _, last = place.rpartition(".")
    if last in ELEMENTS:
        place = f"{head}.{ELEMENTS[last]}"
    return place.replace("root", "Consent.provision", 1).replace("clauses[", "provision[")


def _denies(consent: Mapping[str, Any]) -> bool:
    """Whether anything in it denies: a base of OPTOUT, or a provision of type deny at any depth."""
    root = consent.get("provision")
    stated = root.get("type") if isinstance(root, Mapping) else None
    if stated is None and _base(consent) is False:
        return True
    rest: list[Any] = [root]
    while rest:
        node = rest.pop()
        if isinstance(node, Mapping):
            if node.get("type") == "deny":
                return True
            rest.append(node.get("provision"))
        elif isinstance(node, list):
            rest += node
    return False


def _base(consent: Mapping[str, Any]) -> bool | None:
    rule = consent.get("policyRule")
    codings = rule.get("coding") if isinstance(rule, Mapping) else None
    stated = {
        BASE[coding["code"]]
        for coding in (codings if isinstance(codings, list) else ())
        if isinstance(coding, Mapping) and coding.get("system") == ACT_CODE and coding.get("code") in BASE
    }
    return stated.pop() if len(stated) == 1 else None


def word(text: str) -> str:
    """A value as a tree may hold it: at most 128 characters."""
    return text if 0 < len(text) <= 128 else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class _Reader:
    """One reading: collects what does not fit and what is broken while it goes."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.unfit: list[Reason] = []
        self.broken: list[Reason] = []
        self.ask = False

    # -- the Consent --------------------------------------------------------------------------------

    def root(self, consent: Mapping[str, Any]) -> Clause | None:
        self._modifiers(consent)
        node = consent.get("provision", {})
        if not isinstance(node, Mapping):
            self._break("Consent.provision", "オブジェクトではありません / not an object")
            return None
        stated = node.get("type")
        permit = _base(consent) if stated is None else {"permit": True, "deny": False}.get(str(stated))
        if permit is None:
            why = "許可か拒否か分かりません / neither provision.type nor policyRule OPTIN or OPTOUT says what it is"
            (self._break if _denies(consent) else self._unfit)("Consent.provision.type", why)
            return None
        return self._clause(node, "Consent.provision", permit, 0)

    def _modifiers(self, consent: Mapping[str, Any]) -> None:
        for at, extension in self._each(consent, "modifierExtension", "Consent"):
            if extension.get("url") == ASK and isinstance(extension.get("valueBoolean"), bool):
                self.ask = extension["valueBoolean"]
            else:
                self._unfit(at, "解釈できない修飾です / a modifier that is not understood")
        if "implicitRules" in consent:
            self._unfit("Consent.implicitRules", "解釈できない規則です / rules that are not known here")

    # -- a provision --------------------------------------------------------------------------------

    def _clause(self, node: Mapping[str, Any], place: str, permit: bool, depth: int) -> Clause:
        start, end = self._period(node, "period", place)
        low, high = self._period(node, "dataPeriod", place)
        categories, ticked = self._categories(node, place)
        labels, level = self._labels(node, place, permit)
        if "code" in node:
            self._unfit(f"{place}.code", "コードでは指定できません / a consent cannot speak of codes here")
        made = Clause(
            permit=permit, purposes=self._codes(node, "purpose", place, PURPOSE), actors=self._actors(node, place),
            actions=self._actions(node, place), valid_from=start, valid_to=end, categories=categories, labels=labels,
            level=level, data_low=low, data_high=high, authors=self._authors(node, place),
            items=self._items(node, place), clauses=self._below(node, place, depth),
        )  # fmt: skip
        return self._parted(made, ticked, place) if ticked else made

    def _below(self, node: Mapping[str, Any], place: str, depth: int) -> tuple[Clause, ...]:
        found = []
        for at, child in self._each(node, "provision", place):
            permit = {"permit": True, "deny": False}.get(str(child.get("type")))
            if permit is None:
                self._break(f"{at}.type", "permit か deny が必要です / permit or deny is needed")
            elif depth >= _DEEPEST:
                self._break(at, "入れ子が深すぎます / nested too deeply")
            else:
                found.append(self._clause(child, at, permit, depth + 1))
        return tuple(found)

    def _parted(self, made: Clause, ticked: frozenset[str], place: str) -> Clause:
        """E-3: level-3 categories ticked among ordinary ones stand as a permit of their own below."""
        if made.categories is None:
            return replace(made, labels=ticked | (made.labels or frozenset()))
        if not made.permit or made.labels:
            self._unfit(f"{place}.class", "機微な項目は別に / a level-3 category stands in a provision of its own")
            return made
        below = replace(
            Clause(permit=True, labels=ticked), level=made.level, data_low=made.data_low, data_high=made.data_high,
            authors=made.authors, items=made.items,
        )  # fmt: skip
        return replace(made, clauses=(*made.clauses, below))

    # -- its elements -------------------------------------------------------------------------------

    def _categories(self, node: Mapping[str, Any], place: str) -> tuple[frozenset[str] | None, frozenset[str]]:
        """Ordinary categories, and labels that were ticked among them."""
        named = self._codes(node, "class", place, CATEGORY)
        ticked = frozenset(named or ()) & clauses.LABEL_NAMES
        ordinary = None if named is None else named - ticked
        return (ordinary or None) if ticked else ordinary, ticked

    def _labels(self, node: Mapping[str, Any], place: str, permit: bool) -> tuple[frozenset[str] | None, int | None]:
        labels, levels = set(), set()
        for _, coding in self._each(node, "securityLabel", place):
            system, code = coding.get("system"), coding.get("code")
            if system == CONFIDENTIALITY and code in LEVEL_OF:
                levels.add(LEVEL_OF[code])
            elif system == ACT_CODE and code in SENSITIVITY:
                labels.add(SENSITIVITY[code])
            else:
                labels.add(_coded(coding, CATEGORY))
        level = (max(levels) if permit else min(levels)) if levels else None
        return (frozenset(labels) or None), level

    def _codes(self, node: Mapping[str, Any], name: str, place: str, system: str) -> frozenset[str] | None:
        return frozenset(_coded(coding, system) for _, coding in self._each(node, name, place)) or None

    def _actions(self, node: Mapping[str, Any], place: str) -> frozenset[str] | None:
        found = set()
        for at, concept in self._each(node, "action", place):
            codes = [_coded(coding, ACTION) for _, coding in self._each(concept, "coding", at)]
            known = [code for code in codes if code in clauses.ACTIONS]
            found.add((known or codes or ["?"])[0])
        return frozenset(found) or None

    def _actors(self, node: Mapping[str, Any], place: str) -> frozenset[str] | None:
        found = set()
        for _, actor in self._each(node, "actor", place):
            reference = actor.get("reference")
            found.add(self._actor(reference) if isinstance(reference, Mapping) else "?")
        return frozenset(found) or None

    def _actor(self, reference: Mapping[str, Any]) -> str:
        literal, identifier = reference.get("reference"), reference.get("identifier")
        if isinstance(literal, str):
            if (found := self.directory.references.get(literal)) is not None:
                return f"org:{found}"
            return "?" if clauses.known_actor(literal) else word(literal)  # nobody names himself into the directory
        if not isinstance(identifier, Mapping):
            display = reference.get("display")
            return display if isinstance(display, str) and display.startswith("sha256:") else "?"
        system, value = identifier.get("system"), identifier.get("value")
        known = self.directory.codes.get(value) if isinstance(value, str) else None
        if system in (ORGANIZATION, INSTITUTION) and known is not None:
            return f"org:{known}"
        own = {RECIPIENT_CLASS: f"class:{value}", PERSON: f"person:{value}"}.get(str(system), "")
        return own if clauses.known_actor(own) else word(f"{system}|{value}")

    def _authors(self, node: Mapping[str, Any], place: str) -> frozenset[int] | None:
        found = set()
        for at, extension in self._each(node, "modifierExtension", place):
            reference = extension.get("valueReference")
            if extension.get("url") != AUTHOR or not isinstance(reference, Mapping):
                self._unfit(at, "解釈できない修飾です / a modifier that is not understood")
                continue
            actor = self._actor(reference)
            found.add(int(actor.removeprefix("org:")) if actor.startswith("org:") else 0)  # 0: nobody we know
        return frozenset(found) or None

    def _items(self, node: Mapping[str, Any], place: str) -> frozenset[str] | None:
        found = set()
        for at, data in self._each(node, "data", place):
            reference = data.get("reference")
            if data.get("meaning") != "instance":
                self._unfit(f"{at}.meaning", "instance だけを扱います / only instance is understood")
            literal = reference.get("reference") if isinstance(reference, Mapping) else None
            found.add(literal if isinstance(literal, str) and _LITERAL.fullmatch(literal) else "?")
        return frozenset(found) or None

    def _period(self, node: Mapping[str, Any], name: str, place: str) -> tuple[datetime | None, datetime | None]:
        """Half-open. A date stands for the whole day in Japan, so its end is the end of that day."""
        if name not in node:
            return None, None
        told = node[name]
        if not isinstance(told, Mapping) or not ({"start", "end"} & told.keys()):
            self._break(f"{place}.{name}", "期間を読めません / the period cannot be read")
            return None, None
        ends: list[datetime | None] = []
        for side in ("start", "end"):
            try:
                ends.append(_instant(told[side], end=side == "end") if side in told else None)
            except (ValueError, OverflowError, TypeError):
                self._break(f"{place}.{name}.{side}", "日時を読めません / not a date or a date and time")
                ends.append(None)
        if ends[0] and ends[1] and ends[0] >= ends[1]:
            self._break(f"{place}.{name}", "期間が空です / the period is empty")
        return ends[0], ends[1]

    # -- shapes -------------------------------------------------------------------------------------

    def _each(self, node: Mapping[str, Any], name: str, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The objects of a list with their places. What is no such list breaks the reading: it might widen it."""
        if name not in node:
            return
        told = node[name]
        if not isinstance(told, list) or not told:
            self._break(f"{place}.{name}", "一つ以上の配列が必要です / a list of at least one is needed")
            return
        for number, item in enumerate(told):
            at = f"{place}.{name}[{number}]"
            if isinstance(item, Mapping):
                yield at, item
            else:
                self._break(at, "オブジェクトではありません / not an object")

    def _unfit(self, place: str, why: str) -> None:
        self.unfit.append(Reason(place, why))

    def _break(self, place: str, why: str) -> None:
        self.broken.append(Reason(place, why))


def _coded(coding: Mapping[str, Any], system: str) -> str:
    """A code of the system that is expected here by itself; any other with its system before it."""
    given, code = coding.get("system"), coding.get("code")
    if not isinstance(code, str) or not code:
        return "?"
    return word(code) if given == system else word(f"{given or ''}|{code}")


def _instant(text: str, *, end: bool) -> datetime:
    """A FHIR dateTime as an instant; of a date its beginning, or what follows its end. Raises ValueError."""
    found = _DATE.fullmatch(text)
    if found is None:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError("no time zone")
        return instant
    year, month, day = (int(part) if part else 0 for part in found.groups())
    first = date(year, month or 1, day or 1)
    if end:
        first = first + timedelta(days=1) if day else date(year + (month in (0, 12)), month % 12 + 1 if month else 1, 1)
    return datetime(first.year, first.month, first.day, tzinfo=rules.JST)
