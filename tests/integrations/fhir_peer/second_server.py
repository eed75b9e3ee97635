"""Run as a program: what a second server of ours holds before a test begins. Prints names as JSON on its last line.

A clinic that writes, one patient of it, and our organisation there, which she lets see her record.
"""

from __future__ import annotations

import json
import sys
from datetime import date

import django

django.setup()

from django.utils import timezone  # noqa: E402

from consent import grants  # noqa: E402
from consent.decide import Caller, Capacity  # noqa: E402
from consent.models import Organization, Person, Subject  # noqa: E402
from consent.scope import Clause, Door  # noqa: E402
from phr.records.gateway import Records  # noqa: E402
from phr.smart.models import Application  # noqa: E402


def client(name: str, organization: Organization, key: dict[str, str]) -> None:
    made = Application(
        client_id=name, name=name, client_type="confidential", authorization_grant_type="client-credentials",
        token_endpoint_auth_method="private_key_jwt", organization=organization, system_scopes="system/*.cruds",
        client_jwks={"keys": [key]},
    )  # fmt: skip
    made.full_clean()
    made.save()


def main() -> None:
    ours, theirs = (json.loads(text) for text in sys.argv[1:3])
    now = timezone.now()
    clinic = Organization.objects.create(name="となりの産院", kind="clinic", code="1399999901", class_from=now)
    network = Organization.objects.create(name="紡", kind="clinic", code="1399999902", class_from=now)
    client("clinic", clinic, theirs)
    client("tsumugi", network, ours)
    writer = Caller(client="clinic", capacity=Capacity.SYSTEM, purpose="TREAT", doors=(Door("*", "cruds"),),
                    organization=clinic.pk)  # fmt: skip
    people = {}
    for name in ("hana", "stranger"):
        subject = Subject.objects.create(birth_on=date(1990, 5, 5), created_at=now)
        person = Person.objects.create(username=name, name=name, own_subject=subject)
        Records.opened_by(writer, now=now).create_all(
            [{"resourceType": "Patient", "id": str(subject.pk), "name": [{"text": name}], "birthDate": "1990-05-05"}],
            keep_ids=True,
        )
        root = Clause(permit=True, actors=frozenset({f"org:{network.pk}"}), purposes=frozenset({"TREAT"}), level=2)
        grants.give(subject=subject, root=root, by=person, capacity="self", now=now)
        people[name] = str(subject.pk)
    print(json.dumps(people))


main()
