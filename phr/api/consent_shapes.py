"""The shapes of consents in the API: a tree of Clauses with its terms, and what is told of a Grant."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from consent import receipts, telling, wording
from consent.clauses import LABEL_NAMES, ORDINARY_NAMES, Malformed, clause_to_json
from consent.grants import given
from consent.models import Grant
from consent.rules import CARE_PURPOSES

LONGEST = 2000
_DENIES_ALL = {
    "ja": ["読めない同意です。直されるまで、本人と保護者以外のすべてを拒否します"],
    "en": ["cannot be read; denies everybody but the person and her guardians until it is fixed"],
}


@extend_schema_serializer(component_name="ShownBeside")
class TermsShape(serializers.Serializer[Any]):
    """What stands beside the tree (IT-02). For care nothing of it need be said, for provision all of it."""

    benefit = serializers.CharField(required=False, max_length=LONGEST)
    profiling = serializers.BooleanField(required=False, allow_null=True, default=None)
    onward = serializers.BooleanField(required=False, allow_null=True, default=None)
    use_class = serializers.ChoiceField(list(wording.USES), required=False)
    withdrawal = serializers.CharField(required=False, max_length=LONGEST)
    contact = serializers.CharField(required=False, max_length=LONGEST)
    program = serializers.UUIDField(required=False)
    locale = serializers.ChoiceField(wording.LOCALES, required=False, default="ja")


class ToGive(serializers.Serializer[Any]):
    """`root`: a Clause. `supersedes`: the Grant it takes the place of. `ask`: each provision is asked for."""

    root = serializers.JSONField()
    terms = TermsShape(required=False)
    ask = serializers.BooleanField(required=False, default=False)
    supersedes = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**63 - 1)


class ToReplace(serializers.Serializer[Any]):
    root = serializers.JSONField()
    terms = TermsShape(required=False)
    ask = serializers.BooleanField(required=False, default=False)


class ToWithdraw(serializers.Serializer[Any]):
    """With lists, a part is withdrawn: these categories, purposes, actors; without, all of it."""

    reason = serializers.CharField(required=False, max_length=200, default="", allow_blank=True)
    categories = serializers.ListField(
        child=serializers.ChoiceField(sorted(ORDINARY_NAMES | LABEL_NAMES)), required=False, max_length=64
    )
    purposes = serializers.ListField(
        child=serializers.CharField(max_length=128), required=False, max_length=64
    )  # fmt: skip
    actors = serializers.ListField(child=serializers.CharField(max_length=128), required=False, max_length=64)


class ToAccept(serializers.Serializer[Any]):
    terms = TermsShape(required=False)


class GrantShape(serializers.Serializer[Grant]):
    """One version of a consent. `words`: what it says, line by line; `own`: whoever asks gave it herself."""

    id = serializers.IntegerField()
    version = serializers.IntegerField()
    supersedes = serializers.IntegerField(source="supersedes_id", allow_null=True)
    state = serializers.CharField()
    capacity = serializers.CharField()
    own = serializers.SerializerMethodField()
    permits = serializers.SerializerMethodField()
    provision = serializers.SerializerMethodField()
    consent = serializers.CharField(source="consent_id")
    root = serializers.SerializerMethodField()
    words = serializers.SerializerMethodField()
    terms = serializers.SerializerMethodField()
    ask = serializers.BooleanField()
    given_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    reasons = serializers.JSONField()
    text_sha256 = serializers.SerializerMethodField()

    def _placeless(self, grant: Grant) -> bool:
        """Whether its organisations are not told to whoever asks (G-08)."""
        reader: telling.Reader = self.context["reader"]
        return not telling.place_shown(reader, given_by=grant.given_by_id)

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_root(self, grant: Grant) -> Any:
        if not self._placeless(grant):
            return grant.root
        try:
            return clause_to_json(telling.without_places(given(grant).root))
        except Malformed:
            return {}

    def get_text_sha256(self, grant: Grant) -> str:
        return "" if self._placeless(grant) else grant.text_sha256

    def get_own(self, grant: Grant) -> bool:
        return bool(grant.given_by_id is not None and grant.given_by_id == self.context["reader"].person)

    def get_permits(self, grant: Grant) -> bool:
        return isinstance(grant.root, dict) and grant.root.get("permit") is True

    def get_provision(self, grant: Grant) -> bool:
        """Whether it permits anything beyond care."""
        try:
            return receipts.for_provision(given(grant).root)
        except Malformed:
            return False

    @extend_schema_field({"type": "object", "properties": {
        name: {"type": "array", "items": {"type": "string"}} for name in wording.LOCALES}})  # fmt: skip
    def get_words(self, grant: Grant) -> dict[str, list[str]]:
        try:
            told = given(grant)
        except Malformed:
            deny = not self.get_permits(grant)
            return {
                "ja": [
                    "読めない同意です。直されるまで本人と保護者以外のすべてを拒否します" if deny else "読めない同意です"
                ],
                "en": ["cannot be read; denies everybody else until it is fixed" if deny else "cannot be read"],
            }
        if self._placeless(grant):
            root = telling.without_places(told.root)
            return {name: wording.lines(root, telling.NAMES[name], name) for name in wording.LOCALES}
        return {name: wording.lines(told.root, told.terms.names, name) for name in wording.LOCALES}

    @extend_schema_field(TermsShape)
    def get_terms(self, grant: Grant) -> dict[str, Any]:
        kept_back = {"names", "edition", *(("contact",) if self._placeless(grant) else ())}
        return {name: value for name, value in grant.terms.items() if name not in kept_back}


class ReceiptShape(serializers.Serializer[Any]):
    """`receipt`: a JWS in compact form over `content` (ISO/IEC TS 27560); `text`: what was shown."""

    receipt = serializers.CharField()
    content = serializers.JSONField()
    text = serializers.CharField()
    sha256 = serializers.CharField()


class StopShape(serializers.Serializer[Any]):
    """`stops`: the Grants by which everything is stopped now; empty = nothing is stopped."""

    stopped = serializers.BooleanField()
    stops = serializers.ListField(child=serializers.IntegerField())


class VocabularyShape(serializers.Serializer[Any]):
    """Every word a consent may use, with what it means. Nothing is chosen beforehand (IT-06)."""

    categories = serializers.JSONField()
    purposes = serializers.JSONField()
    classes = serializers.JSONField()
    actions = serializers.JSONField()
    uses = serializers.JSONField()
    class_days = serializers.IntegerField()
    proxy_months = serializers.IntegerField()


def word(value: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"ja": value[0], "en": value[1], **more}


def vocabulary() -> dict[str, Any]:
    """The words of `wording`, with what the rules say of each."""
    from consent.authoring import CLASS_DAYS, PROXY_MONTHS

    return {
        "categories": {
            n: word(w, sensitive=n in LABEL_NAMES, in_class=n in ORDINARY_NAMES)
            for n, w in wording.CATEGORIES.items()
        },
        "purposes": {n: word(w, provision=n not in CARE_PURPOSES) for n, w in wording.PURPOSES.items()},
        "classes": {n: word(w) for n, w in wording.CLASSES.items() if n != "third-party"},
        "actions": {n: word(w) for n, w in wording.ACTIONS.items()},
        "uses": {n: word(w) for n, w in wording.USES.items()},
        "class_days": CLASS_DAYS, "proxy_months": PROXY_MONTHS,
    }  # fmt: skip
