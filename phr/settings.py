"""The one settings file. Every value comes from the environment; `deploy/env.example` lists them all.

A secret NAME may also be given as NAME_FILE, the path of a file that holds it. The embedded servers
(`phr/embedded/`) fill in the database, the broker and generated secrets for the demo and the tests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from kombu import Queue

BASE_DIR = Path(__file__).resolve().parent.parent


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def flag(name: str, default: bool = False) -> bool:
    return os.environ.get(name, str(int(default))).lower() in ("1", "true", "yes", "on")


def secret(name: str) -> str:
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name, "")


def database(url: str) -> dict[str, Any]:
    """postgresql://user:password@host:port/name?option=value -> Django's form; `host` may be a socket folder."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    # What is prepared are lookups by key: plan each of them once (consent/decisions/prepared-statements.md).
    # Temporary tables last: none may stand before the log or the records under the same name.
    told = f"-c search_path=public,pg_temp {options.get('options', '')} -c plan_cache_mode=force_generic_plan"
    options["options"] = told
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "tsumugi",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": options.pop("port", "") or str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": options,
    }


DEMO = flag("PHR_DEMO")
# What the embedded servers and the demo keep.
PHR_VAR = text("PHR_VAR", str(BASE_DIR / "var"))
DEBUG = flag("PHR_DEBUG")
SECRET_KEY = secret("PHR_SECRET_KEY") or "insecure: phr.E101 refuses to deploy with this"
ALLOWED_HOSTS = text("PHR_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in text("PHR_TRUSTED_ORIGINS").split(",") if o]

# Where this server is reached: the FHIR base is PHR_BASE_URL + "/fhir".
PHR_BASE_URL = text("PHR_BASE_URL", "http://127.0.0.1:8000").rstrip("/")
# The name people look for in an app's list of services (SMART User-access Brands), and when it last changed.
PHR_BRAND_NAME = text("PHR_BRAND_NAME", "紡 Tsumugi")
PHR_BRAND_CHANGED = text("PHR_BRAND_CHANGED", "2026-04-01T00:00:00+09:00")
# A date without a zone means this one (minutes east of UTC); Japan unless the deployment says otherwise.
PHR_TIME_ZONE = text("PHR_TIME_ZONE", "Asia/Tokyo")
# Bodies larger than this are refused with 413 (bytes).
PHR_MAX_BODY = int(text("PHR_MAX_BODY", str(10 * 1024 * 1024)))
DATA_UPLOAD_MAX_MEMORY_SIZE = PHR_MAX_BODY
# Profiles that hold on every write: own, claimed, canonical URLs (phr/records/profiles/enforced.py).
PHR_PROFILES_ENFORCED = text("PHR_PROFILES_ENFORCED", "own").split()
# A resource larger than this is refused with 413 (bytes); base64 data of attachments is not counted.
PHR_MAX_RESOURCE = int(text("PHR_MAX_RESOURCE", str(1024 * 1024)))
# What one statement of a search or history may take (milliseconds); longer is answered 422 too-costly.
PHR_SEARCH_TIMEOUT_MS = int(text("PHR_SEARCH_TIMEOUT_MS", "10000"))
# In a store of more resources than this, a search over many persons must begin at an index.
PHR_LARGEST_SCAN = int(text("PHR_LARGEST_SCAN", "100000"))

# Where bulk exports keep their sealed files; web and workers share it.
PHR_EXPORT_FOLDER = text("PHR_EXPORT_FOLDER") or str(Path(PHR_VAR) / "exports")
# How long an ended export stays (hours), and how many one client may have running.
PHR_EXPORT_HOURS = int(text("PHR_EXPORT_HOURS", "24"))
# How many days the sealed original of an ended import stays, and what waits for its person to be linked.
PHR_IMPORT_ORIGINAL_DAYS = int(text("PHR_IMPORT_ORIGINAL_DAYS", "30"))
PHR_IMPORT_WAITING_DAYS = int(text("PHR_IMPORT_WAITING_DAYS", "90"))
# Where files to import are laid: <folder>/<organisation code>/<kind>[/<profile>]/file. Empty: nowhere.
PHR_IMPORT_WATCH = text("PHR_IMPORT_WATCH", "")
# The operator's own source profiles of municipal CSV files (*.toml). Empty: only the standard ones.
PHR_IMPORT_PROFILES = text("PHR_IMPORT_PROFILES", "")
PHR_EXPORT_JOBS = int(text("PHR_EXPORT_JOBS", "2"))
# How long a peer is left alone after it was brought up to date (seconds).
PHR_PEER_SECONDS = int(text("PHR_PEER_SECONDS", "60"))
# How long a request to erase a record can be taken back (days).
PHR_ERASURE_DAYS = int(text("PHR_ERASURE_DAYS", "14"))
# How long the end of a contract for a record (解約) can be taken back, and a copy be fetched (days).
PHR_CLOSING_DAYS = int(text("PHR_CLOSING_DAYS", "30"))

# A folder with the public masters of 支払基金 (b_*.csv, z_*.csv, s_*.csv, y_*.csv): names for the codes of receipts.
PHR_RECEIPT_MASTERS = text("PHR_RECEIPT_MASTERS")
# Folder of vaccination rule files of the operator (immunization_rules*.json); empty: those that come with the product.
PHR_IMMUNIZATION_RULES = text("PHR_IMMUNIZATION_RULES")

# Key-encryption keys: "id:base64 of 32 bytes", comma separated; the first seals, all open.
PHR_KEYS = secret("PHR_KEYS")
# Key of the search index hashes (base64 of 32 bytes); changing it needs `manage.py reindex`.
PHR_INDEX_KEY = secret("PHR_INDEX_KEY")
# Ed25519 seed that signs audit batches (base64 of 32 bytes).
PHR_AUDIT_KEY = secret("PHR_AUDIT_KEY")
# Where the heads of the log are published outside the database: a file that only grows, an https address, or both.
PHR_AUDIT_HEADS_FILE = text("PHR_AUDIT_HEADS_FILE")
PHR_AUDIT_HEADS_URL = text("PHR_AUDIT_HEADS_URL")
# RSA private key (PEM) that signs ID tokens.
PHR_OIDC_KEY = secret("PHR_OIDC_KEY")

# Sign-in with a card at an OpenID provider (デジタル認証アプリ); off without an issuer (phr/smart/oidc_login.py).
PHR_CARD_ISSUER = text("PHR_CARD_ISSUER").rstrip("/")
PHR_CARD_CLIENT_ID = text("PHR_CARD_CLIENT_ID")
# The private key (PEM, P-256 or RSA) that signs our client assertions there, and the name of its public half there.
PHR_CARD_KEY = secret("PHR_CARD_KEY")
PHR_CARD_KEY_ID = text("PHR_CARD_KEY_ID")
# What is asked for there.
PHR_CARD_SCOPE = text("PHR_CARD_SCOPE", "openid")
PHR_CARD_ACR = text("PHR_CARD_ACR", "aal3")
# Authorization endpoint, token endpoint and key set, separated by spaces; empty: the provider's discovery document.
PHR_CARD_ENDPOINTS = text("PHR_CARD_ENDPOINTS").split()
# Direct verification of card signatures (公的個人認証): own, or the dotted path of a class; off while empty.
PHR_JPKI_BACKEND = text("PHR_JPKI_BACKEND")
# For own: the CA's certificates and CRLs (PEM files).
PHR_JPKI_CA = text("PHR_JPKI_CA")
PHR_JPKI_CRL = text("PHR_JPKI_CRL")
# How well a person must have proved who she is, within five minutes, before a deed of weight: aal2 or aal3.
PHR_ACR_DEEDS = text("PHR_ACR_DEEDS") or ("aal3" if PHR_CARD_ISSUER else "aal2")
# And before pages and apps show anything: aal1, or aal2 where every account has a second factor.
PHR_ACR_READ = text("PHR_ACR_READ") or "aal1"

INSTALLED_APPS = [
    "oauth2_provider",  # before ours: phr.admin takes its pages away
    "consent",
    "phr",
    "integrations",
    "rest_framework",
    "drf_spectacular",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
INTEGRATIONS = [
    "integrations.jahis_qr.connector",
    "integrations.municipal_csv.connector",
    "integrations.receipts.connector",
    "integrations.school.connector",
    "integrations.ssmix2.connector",
    "integrations.hl7.connector",
]
AUTH_USER_MODEL = "consent.Person"
SILENCED_SYSTEM_CHECKS = ["urls.W002"]  # FHIR paths begin with a slash: the base is /fhir, without one
ROOT_URLCONF = "phr.urls"
WSGI_APPLICATION = "phr.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# What stands behind the entrance is for pages; the FHIR API needs none of it.
MIDDLEWARE = [
    "integrations.counting.counted",
    "django.middleware.security.SecurityMiddleware",
    "phr.fhir.entrance.entrance",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "phr.web.session.stands",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "phr" / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": database(text("DATABASE_URL", "postgresql://localhost/tsumugi"))}

# What the operator's monitoring shows as its bearer at /api/metrics; empty: there is nothing there.
PHR_METRICS_TOKEN = secret("PHR_METRICS_TOKEN")

REDIS_URL = text("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Queues by kind, so that a large import holds up nobody; a worker started without -Q takes from all.
CELERY_TASK_QUEUES = [Queue(name) for name in ("imports", "peers", "exports", "trust")]
CELERY_TASK_DEFAULT_QUEUE = "trust"
CELERY_TASK_ROUTES = {
    "integrations.tasks.sync_peer": {"queue": "peers"},
    "integrations.tasks.sweep_peers": {"queue": "peers"},
    "integrations.tasks.retry_delivery": {"queue": "peers"},
    "integrations.*": {"queue": "imports"},
    "phr.fhir.bulk.*": {"queue": "exports"},
    "consent.*": {"queue": "trust"},
    "phr.*": {"queue": "trust"},
}
# No task runs for ever (seconds). The long ones keep how far they came and are taken up again.
CELERY_TASK_SOFT_TIME_LIMIT, CELERY_TASK_TIME_LIMIT = 540, 600
CELERY_TASK_ANNOTATIONS = {
    "integrations.tasks.run_import": {"soft_time_limit": 6 * 3600, "time_limit": 6 * 3600 + 60},
    "integrations.tasks.sync_peer": {"soft_time_limit": 1800, "time_limit": 1860},
    "phr.fhir.bulk.tasks.run_export": {"soft_time_limit": 6 * 3600, "time_limit": 6 * 3600 + 60},
}
CELERY_BEAT_SCHEDULE = {
    "seal-audit": {"task": "consent.tasks.seal_audit", "schedule": 60.0},
    "sweep-imports": {"task": "integrations.tasks.sweep", "schedule": 30.0},
    "keep-up-imports": {"task": "integrations.tasks.keep_up", "schedule": 600.0},
    "watch-imports": {"task": "integrations.tasks.watch_imports", "schedule": 60.0},
    "sweep-peers": {"task": "integrations.tasks.sweep_peers", "schedule": 30.0},
    "sweep-exports": {"task": "phr.fhir.bulk.tasks.sweep", "schedule": 30.0},
    "sweep-erasures": {"task": "phr.api.tasks.sweep_erasures", "schedule": 600.0},
    "sweep-consents": {"task": "phr.api.tasks.sweep_consents", "schedule": 60.0},
    "sweep-provisions": {"task": "consent.tasks.sweep_provisions", "schedule": 60.0},
    "discard-provider-records": {"task": "consent.tasks.discard_provider_records", "schedule": 86400.0},
    "watch-refusals": {"task": "consent.tasks.watch_refusals", "schedule": 3600.0},
    "come-of-age": {"task": "phr.smart.tasks.come_of_age", "schedule": 3600.0},
    "forget-tokens": {"task": "phr.smart.tasks.forget_tokens", "schedule": 3600.0},
}

LANGUAGE_CODE = "ja"
LANGUAGES = [("ja", "日本語"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "phr" / "web" / "locale"]
USE_TZ = True
TIME_ZONE = "Asia/Tokyo"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "phr" / "web" / "static"]
STATIC_ROOT = text("PHR_STATIC_ROOT", str(BASE_DIR / "var" / "static"))
LOGIN_URL = "/sign-in"
CSRF_FAILURE_VIEW = "phr.web.errors.csrf_failed"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

_HTTPS = PHR_BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_AGE = 60 * 60
# How many resources a family's app may write for one person. A Bundle that begins within them is carried out whole.
PHR_APP_WRITES_PER_MINUTE = int(text("PHR_APP_WRITES_PER_MINUTE", "600"))
PHR_APP_WRITES_PER_DAY = int(text("PHR_APP_WRITES_PER_DAY", "20000"))
# However busy, a session ends so long after signing in (hours).
PHR_SESSION_HOURS = int(text("PHR_SESSION_HOURS", "12"))
SECURE_SSL_REDIRECT = _HTTPS and flag("PHR_SSL_REDIRECT", True)
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if flag("PHR_BEHIND_PROXY") else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK: dict[str, Any] = {
    "EXCEPTION_HANDLER": "phr.api.frame.refused",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PERMISSION_CLASSES": [],  # phr.api.frame admits
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tsumugi: the trust",
    "DESCRIPTION": "同意・提供・履歴・請求のためのAPI。For consents, provisions, their history and requests.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/trust",
    "PREPROCESSING_HOOKS": ["phr.api.openapi.only_the_trust"],
    "ENUM_NAME_OVERRIDES": {
        "EmergencyReason": "consent.models.EmergencyAccess.Reason",
        "FreezeReason": "consent.guardianship.FreezeReason",
        "ProtectionReason": "consent.protection.Reason",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "phr.api.openapi.summarised",
    ],
}

# All six models are ours from the first migration on (phr/smart/models.py).
OAUTH2_PROVIDER_APPLICATION_MODEL = "phr.Application"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "phr.AccessToken"
OAUTH2_PROVIDER_GRANT_MODEL = "phr.AuthorizationCode"
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "phr.RefreshToken"
OAUTH2_PROVIDER_ID_TOKEN_MODEL = "phr.IDToken"
OAUTH2_PROVIDER_DEVICE_GRANT_MODEL = "phr.DeviceGrant"
OAUTH2_PROVIDER: dict[str, Any] = {
    "OAUTH2_VALIDATOR_CLASS": "phr.smart.provider.Validator",
    "OAUTH2_SERVER_CLASS": "phr.smart.provider.Server",
    "SCOPES_BACKEND_CLASS": "phr.smart.provider.Scopes",
    "SCOPES": {"openid": "OpenID Connect"},  # must not be empty; the real vocabulary is phr/smart/scopes.py
    "DEFAULT_SCOPES": [],
    "OIDC_ENABLED": True,
    "OIDC_ISS_ENDPOINT": PHR_BASE_URL,
    "OIDC_RSA_PRIVATE_KEY": PHR_OIDC_KEY,
    "ID_TOKEN_EXPIRE_SECONDS": 900,
    "AUTHORIZATION_CODE_EXPIRE_SECONDS": 60,
    "ACCESS_TOKEN_EXPIRE_SECONDS": 900,  # the server shortens it: 300 for systems
    "REFRESH_TOKEN_EXPIRE_SECONDS": 30 * 24 * 3600,  # and a launch has an absolute end
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ROTATE_REFRESH_TOKEN": True,
    "PKCE_REQUIRED": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],  # Application adds loopback and app schemes it checked
    "ALLOW_URI_WILDCARDS": False,
    "DCR_ENABLED": False,
    "CIMD_ENABLED": False,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"nameless": {"()": "phr.logs.Nameless"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["nameless"]}},
    "root": {"handlers": ["console"], "level": text("PHR_LOG_LEVEL", "INFO")},
}
