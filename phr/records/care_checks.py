"""System check phr.E131: the operator's vaccination rules can be read."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from phr.care.rule_file import RuleFileError
from phr.care.rules import rules_at


@register(Tags.security)
def vaccination_rules_can_be_read(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E131: every file is sound before anybody is told of a vaccination by it."""
    if not settings.PHR_IMMUNIZATION_RULES:
        return []
    try:
        rules_at(date.max, Path(settings.PHR_IMMUNIZATION_RULES))
    except (RuleFileError, OSError) as error:
        hint = "Mend the file, or leave PHR_IMMUNIZATION_RULES empty for the rules that come with the product."
        return [Error(f"PHR_IMMUNIZATION_RULES cannot be used: {error}", hint=hint, id="phr.E131")]
    return []
