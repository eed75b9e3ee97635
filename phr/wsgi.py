"""WSGI entry. Starting proves settings and keys: what is unsafe, or could not open the record, must not serve."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "phr.settings")

application = get_wsgi_application()

from phr import checks  # noqa: E402
from phr.records import vault  # noqa: E402

checks.require_safe()
vault.prove()
