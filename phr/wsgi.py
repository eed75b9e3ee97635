"""WSGI entry. Starting proves the keys: a server that could not open the record must not run."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "phr.settings")

application = get_wsgi_application()

from phr.records import vault  # noqa: E402

vault.prove()
