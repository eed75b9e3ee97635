"""System checks with ids and hints: a wrong deployment is refused, and told how to mend it."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.management.base import SystemCheckError

from phr.records import care_checks
from phr.smart import checks as smart_checks
from phr.smart import login_checks

__all__ = ["care_checks", "login_checks", "require_safe", "smart_checks"]


def require_safe() -> None:
    """Refuse to serve with settings that are not safe; beyond this machine what `check --deploy` asks holds too.

    Raises SystemCheckError, which names each check and its hint.
    """
    elsewhere = urlsplit(settings.PHR_BASE_URL).hostname not in smart_checks.LOCAL
    found = run_checks(tags=[Tags.security], include_deployment_checks=elsewhere)
    if serious := [message for message in found if message.is_serious()]:
        raise SystemCheckError("\n".join(map(str, serious)))
