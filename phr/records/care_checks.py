"""System check phr.E131: the operator's vaccination rules can be read, and rules hold today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.utils import timezone

from phr.care.rule_file import RuleFileError
from phr.care.rules import holds, rules_at


@register(Tags.security)
def vaccination_rules_can_be_read(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E131: every file is sound before anybody is told of a vaccination by it, and one is valid today."""
    if not settings.PHR_IMMUNIZATION_RULES:
        return []
    today = timezone.localdate()
    try:
        found = rules_at(today, Path(settings.PHR_IMMUNIZATION_RULES))
    except (RuleFileError, OSError) as error:
        hint = "Mend the file, or leave PHR_IMMUNIZATION_RULES empty for the rules that come with the product."
        return [Error(f"PHR_IMMUNIZATION_RULES cannot be used: {error}", hint=hint, id="phr.E131")]
    if holds(found, today):
        return []
    hint = "Add a file that is valid today to PHR_IMMUNIZATION_RULES, or mend its valid_from and valid_until."
    return [Error(f"No vaccination rules are valid today ({today})", hint=hint, id="phr.E131")]
