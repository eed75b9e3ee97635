"""Values that several shapes of the trust's API share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from consent.scope import Category

NAMES = {str(category.name): int(category) for category in Category}


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": sorted(NAMES)}})
class Categories(serializers.Field[int, Any, Any, Any]):
    """Category names outside, their mask inside."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, list) or not data or len(data) > len(NAMES):
            raise serializers.ValidationError("項目名の一覧です / a list of names of categories")
        if any(not isinstance(name, str) or name not in NAMES for name in data):
            raise serializers.ValidationError("知られていない項目です / an unknown category")
        return sum({NAMES[name] for name in data})

    def to_representation(self, value: int) -> list[str]:
        return [name for name, bit in NAMES.items() if value & bit]


def text(longest: int = 200, **more: Any) -> serializers.CharField:
    """Words of bounded length."""
    return serializers.CharField(max_length=longest, **more)


def number(most: int = 2**31 - 1, **more: Any) -> serializers.IntegerField:
    """A whole number from 0 that the database can hold."""
    return serializers.IntegerField(min_value=0, max_value=most, **more)


def code(longest: int = 64, **more: Any) -> serializers.RegexField:
    """A code of ours or of a recipient's: letters, digits, and what joins them."""
    return serializers.RegexField(r"^[A-Za-z0-9][A-Za-z0-9._:\-]*$", max_length=longest, **more)
