"""Values that several shapes of the trust's API share."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from consent.scope import Category

YEARS = (1900, 2200)
NO_MOMENT = "1900年から2200年までです / from 1900 to 2200"
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


class Moment(serializers.DateTimeField):
    """A moment that calendars and the database can reckon with."""

    def to_internal_value(self, value: Any) -> datetime:
        try:
            found: datetime = super().to_internal_value(value)
        except OverflowError:
            raise serializers.ValidationError(NO_MOMENT) from None
        if not YEARS[0] <= found.year <= YEARS[1]:
            raise serializers.ValidationError(NO_MOMENT)
        return found


class Day(serializers.DateField):
    """A day of the same years."""

    def to_internal_value(self, value: Any) -> date:
        found: date = super().to_internal_value(value)
        if not YEARS[0] <= found.year <= YEARS[1]:
            raise serializers.ValidationError(NO_MOMENT)
        return found


def text(longest: int = 200, **more: Any) -> serializers.CharField:
    """Words of bounded length."""
    return serializers.CharField(max_length=longest, **more)


def number(most: int = 2**31 - 1, **more: Any) -> serializers.IntegerField:
    """A whole number from 0 that the database can hold."""
    return serializers.IntegerField(min_value=0, max_value=most, **more)


def code(longest: int = 64, **more: Any) -> serializers.RegexField:
    """A code of ours or of a recipient's: letters, digits, and what joins them."""
    return serializers.RegexField(r"^[A-Za-z0-9][A-Za-z0-9._:\-]*$", max_length=longest, **more)
