from django.apps import AppConfig


class PhrConfig(AppConfig):
    name = "phr"
    verbose_name = "記録 Record"

    def ready(self) -> None:
        from phr import checks  # noqa: F401  (registers the system checks)
        from phr.records import terminology
        from phr.records.profiles.terminology import Packages

        terminology.use(Packages())
