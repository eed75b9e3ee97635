"""WSGI entry. Starting proves settings and keys: what is unsafe, or could not open the record, must not serve."""

import os

from django.core.wsgi import get_wsgi_application

__all__ = ["application", "celery"]  # views wake workers by the one app, from the first request on

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "phr.settings")

application = get_wsgi_application()

from phr import celery, checks  # noqa: E402
from phr.records import vault  # noqa: E402

checks.require_safe()
vault.ready()
