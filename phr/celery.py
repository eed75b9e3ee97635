"""The Celery app. A message is only a wake-up call: what is to be done stands in the database."""

import os
import sys

from celery import Celery, Task
from celery.signals import beat_init, worker_init
from django.db import InterfaceError, OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "phr.settings")


class Retried(Task):
    """What may pass by itself (database or neighbour away) is tried again, later each time, and not in step."""

    abstract = True
    autoretry_for = (OperationalError, InterfaceError, ConnectionError, TimeoutError)
    max_retries = 6
    retry_backoff = 5  # seconds, doubled each time
    retry_backoff_max = 600
    retry_jitter = True


app = Celery("phr", task_cls=Retried)
app.set_default()  # in every thread: web answers in several
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["phr.api", "phr.smart", "phr.fhir.bulk"])


@worker_init.connect
@beat_init.connect
def refuse_what_is_unsafe(**_: object) -> None:
    """As phr/wsgi.py: with unsafe settings, or keys that do not open the record, nothing starts.

    SystemExit, because Celery goes on after any other exception of a handler.
    """
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management.base import SystemCheckError
    from django.db import connection

    django.setup()
    from phr import checks
    from phr.records import vault

    try:
        checks.require_safe()
        vault.ready()
    except (ImproperlyConfigured, SystemCheckError) as error:
        print(error, file=sys.__stderr__, flush=True)  # beat has taken sys.stderr for its log by now
        raise SystemExit(1) from None
    finally:
        connection.close()  # the processes forked from here make their own
