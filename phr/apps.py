from django.apps import AppConfig


class PhrConfig(AppConfig):
    name = "phr"
    verbose_name = "記録 Record"

    def ready(self) -> None:
        from django.conf import settings

        from phr import checks  # noqa: F401  (registers the system checks)
        from phr.records import terminology
        from phr.records.profiles.terminology import Packages
        from phr.records.search import ranges

        terminology.use(Packages())
        ranges.use_zone(settings.PHR_TIME_ZONE)
