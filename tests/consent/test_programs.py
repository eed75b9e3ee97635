"""Programs and the data ethics board (IT-05, IT-30, IT-50)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from consent import board, governance, mandates, programs, recipients
from consent.decide import Deny, decide
from consent.in_force import in_force_for
from consent.models import EthicsDecision, Person, Program
from consent.refusal import Because
from consent.scope import Category
from tests.consent.people import People
from tests.institution import Trust, one, system_of
from tests.refusals import refused


@pytest.mark.IT("50")
def test_no_benefit_no_activation(institution: Trust) -> None:
    to = institution.recipient()
    for missing in ({"benefit_ja": ""}, {"benefit_en": " "}):
        draft = institution.proposed(to, **missing)
        assert refused(lambda d=draft: programs.submit(program=d, by=institution.clerk, now=institution.now)).place
    # Nor past the deeds: the table itself says no.
    running = institution.program(to)
    with pytest.raises(IntegrityError, match="active_program_states_its_benefit"), transaction.atomic():
        Program.objects.filter(pk=running.pk).update(benefit_ja="")


@pytest.mark.IT("05")
@pytest.mark.parametrize("use_class", Program.UseClass.values)
def test_a_clear_benefit_or_public_interest_is_declared_and_reviewed(institution: Trust, use_class: str) -> None:
    """For either class: no benefit text, no submission; no decision, no activation; and the table itself says so."""
    to = institution.recipient()
    for missing in ("benefit_ja", "benefit_en"):
        draft = institution.proposed(to, use_class=use_class, **{missing: " "})
        assert refused(lambda d=draft: programs.submit(program=d, by=institution.clerk, now=institution.now)).place
        assert refused(lambda d=draft: institution.decided(d)).because is Because.CONFLICT
    assert refused(lambda: institution.proposed(to, use_class="")).place == "use_class"
    draft = institution.proposed(to, use_class=use_class)
    programs.submit(program=draft, by=institution.clerk, now=institution.now)
    assert refused(lambda: institution.asked(draft, to)).place == "program"
    with pytest.raises(IntegrityError, match="active_program_was_approved"), transaction.atomic():
        Program.objects.filter(pk=draft.pk).update(state="active")
    institution.decided(draft)
    assert (draft.state, draft.use_class) == ("active", use_class)
    for column, value, name in (
        ("benefit_ja", "", "states_its_benefit"), ("benefit_en", "", "states_its_benefit"),
        ("use_class", "", "declares_its_use"), ("use_class", "profit", "declares_its_use"),
        ("approval", None, "was_approved"),
    ):  # fmt: skip
        with pytest.raises(IntegrityError, match=f"active_program_{name}"), transaction.atomic():
            Program.objects.filter(pk=draft.pk).update(**{column: value})


@pytest.mark.IT("05", "30")
def test_nothing_runs_without_a_decision(institution: Trust) -> None:
    to = institution.recipient()
    draft = institution.proposed(to)
    assert refused(lambda: institution.decided(draft)).because is Because.CONFLICT  # not before the board yet
    programs.submit(program=draft, by=institution.clerk, now=institution.now)
    for use_class in Program.UseClass.values:
        with pytest.raises(IntegrityError, match="active_program_was_approved"), transaction.atomic():
            Program.objects.filter(pk=draft.pk).update(state="active", use_class=use_class)
    institution.decided(draft, "reject", valid_until=None)
    assert draft.state == "draft"
    programs.submit(program=draft, by=institution.clerk, now=institution.now)
    institution.decided(draft)
    assert (draft.state, draft.approval is not None) == ("active", True)
    assert governance.faults(now=institution.now) == []


@pytest.mark.IT("30")
def test_a_board_is_diverse_and_has_a_medical_member(institution: Trust, family: People) -> None:
    draft = institution.proposed(institution.recipient())
    programs.submit(program=draft, by=institution.clerk, now=institution.now)
    before = EthicsDecision.objects.count()
    chairs = dict(institution.board)
    medical = next(person for person, role in chairs.items() if role == "medical")
    wrong: dict[str, dict[Person, str]] = {
        "two": dict(list(chairs.items())[:2]), "alike": dict.fromkeys(chairs, "medical"),
        "no medical": chairs | {medical: "technical"}, "outsider": chairs | {family.yuki: "lay"},
        "proposer": chairs | {institution.clerk: "ethics"}, "unknown role": chairs | {medical: "friend"},
    }  # fmt: skip
    for name, members in wrong.items():
        assert refused(lambda m=members: institution.decided(draft, members=m)).place == "members", name
    assert refused(lambda: institution.decided(draft, reasons=" ")).place == "reasons"
    assert refused(lambda: institution.decided(draft, valid_until=None)).place == "valid_until"
    assert refused(lambda: institution.decided(draft, valid_until=institution.now)).place == "valid_until"
    assert refused(lambda: institution.decided(draft, by=family.sato)).because is Because.FORBIDDEN
    assert EthicsDecision.objects.count() == before


@pytest.mark.IT("30")
def test_a_stop_denies_at_once(family: People, institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    provision = one(institution.asked(program, to))
    caller = system_of(to, subject=provision.subject_id, provision=str(provision.pk))
    assert not isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    before = program.consent_epoch
    institution.decided(program, "stop", members={}, valid_until=None)  # to stop, nothing may stand in the way
    assert (program.state, program.consent_epoch) == ("stopped", before + 1)
    assert isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    assert refused(lambda: institution.asked(program, to)).place == "program-not-active"
    institution.decided(program)  # looked at again, approved again
    assert not isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)


@pytest.mark.IT("05", "30")
def test_an_approval_lapses(family: People, institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    assert program.approval is not None and program.approval.valid_until is not None
    until = program.approval.valid_until
    assert programs.running(now=until - timedelta(seconds=1)) == [program]
    assert programs.running(now=until) == []
    short = institution.proposed(to)
    programs.submit(program=short, by=institution.clerk, now=now)
    institution.decided(short, valid_until=now + timedelta(days=1))
    later = now + timedelta(days=1)
    assert refused(lambda: institution.asked(short, to, now=later)).place == "approval-lapsed"


def test_what_cannot_be_a_program(institution: Trust) -> None:
    to = institution.recipient()
    wrong = {
        "title_ja": {"title_ja": " "}, "purpose": {"purpose": "CREDIT"}, "categories": {"categories": 0},
        "level": {"categories": int(Category.PSY), "level": 2}, "use_class": {"use_class": "profit"},
        "duo": {"duo": ("DUO:0000045",)},
        "high": {"low": institution.now, "high": institution.now},
    }  # fmt: skip
    for place, more in wrong.items():
        assert refused(lambda m=more: institution.proposed(to, **m)).place == place
    assert refused(institution.proposed).place == "recipients"
    processor = institution.recipient(processor_of=to)
    assert refused(lambda: institution.proposed(processor)).place == "recipients"
    assert refused(lambda: institution.proposed(to, purpose="PUBHLTH")).place == "recipients"
    assert not Program.objects.exists()


@pytest.mark.IT("30")
def test_the_report_is_made_from_the_tables(family: People, institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.terms()
    for subject, person in ((family.yuki_subject, family.yuki), (family.teen_subject, family.teen)):
        institution.given(subject, person, f"org:{to.organization_id}")
    institution.asked(program, to)
    institution.decided(program, "stop", valid_until=None)
    told = governance.report(since=now, until=now + timedelta(days=1), now=now)
    about = [d for d in told["decisions"] if d["about"] == f"program:{program.pk}"]
    assert [d["outcome"] for d in about] == ["approve", "stop"]
    assert about[0]["seats"] == ["lay", "legal", "medical"]
    assert [(p["state"], p["approval_in_force"]) for p in told["programs"]] == [("stopped", True)]
    # So few persons are not counted out.
    assert told["provisions"] == {"by_state": {"refused": "<5"}, "reasons_against": {"no-mandate": "<5"}}
    assert "雪" not in str(told)
    earlier = governance.report(since=now - timedelta(days=2), until=now, now=now)
    assert (earlier["decisions"], earlier["terms"]) == ([], [])


@pytest.mark.IT("30")
def test_a_recipient_receives_by_the_boards_word_alone(family: People, institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    provision = one(institution.asked(program, to))
    caller = system_of(to, subject=provision.subject_id, provision=str(provision.pk))
    assert not isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    before = to.consent_epoch
    institution.approved(to, "stop", members={}, valid_until=None)
    to.refresh_from_db()
    assert (to.state, to.state_reason, to.consent_epoch) == ("suspended", "board-stop", before + 1)
    assert isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    assert refused(lambda: institution.asked(program, to)).place == "recipient-not-active"
    resumed = refused(lambda: recipients.resume(recipient=to, by=institution.clerk, now=now))
    assert resumed.because is Because.CONFLICT  # the desk does not undo it
    institution.approved(to)
    assert not isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    assert governance.faults(now=now) == []
    late = now + timedelta(days=5000)
    assert governance.faults(now=late) == [f"no-approval:recipient:{to.pk}"]
    assert recipients.overdue(to, now=late)[0] == "approval-lapsed"  # suspended by the daily sweep


@pytest.mark.IT("30")
def test_a_new_recipient_waits_for_the_board(institution: Trust, now: datetime) -> None:
    told: dict[str, Any] = {
        "legal_name": "例",
        "legal_number": "7000012050002",
        "address": "例",
        "representative": "例",
    }
    made = recipients.register(
        organization=institution.organization(), contract_ref="C", contract_ends_on=(now + timedelta(days=9)).date(),
        certification="P", certified_until=now + timedelta(days=9), purposes=["HRESCH"], by=institution.clerk, now=now,
        **told,
    )  # fmt: skip
    assert (made.state, made.state_reason) == ("suspended", "awaits-board")
    institution.approved(made, "reject", valid_until=None)
    assert refused(lambda: recipients.resume(recipient=made, by=institution.clerk, now=now)).because is Because.CONFLICT
    institution.approved(made)
    made.refresh_from_db()
    assert (made.state, made.state_reason) == ("active", "")
    recipients.end(recipient=made, by=institution.clerk, now=now)
    institution.approved(made)
    made.refresh_from_db()
    assert made.state == "ended"


@pytest.mark.IT("30")
def test_stopped_terms_carry_nothing(family: People, institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    first = mandates.current()
    assert first is not None
    drafted = mandates.publish(text_ja="第二版", text_en="second", by=institution.clerk, now=now)
    assert mandates.current() == first  # not in force before the board's word
    provision = one(institution.asked(program, to))
    caller = system_of(to, subject=provision.subject_id, provision=str(provision.pk))
    assert not isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    institution.approved(first, "stop", members={}, valid_until=None)
    provision.refresh_from_db()
    assert (provision.state, provision.ended_reason) == ("ended", "terms-stop")
    assert isinstance(decide(caller, in_force_for(caller, now=now), now), Deny)
    assert one(institution.asked(program, to)).judgement["codes"] == ["mandate-outdated"]
    assert (mandates.current(), mandates.current_version()) == (None, 0)
    institution.approved(drafted)
    assert mandates.current() == drafted


@pytest.mark.IT("30")
def test_recipients_and_terms_are_reviewed_too(institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    institution.decided(institution.program(to))
    institution.terms()
    terms = mandates.current()
    assert terms is not None
    for about in (to, terms):
        made = board.decide(
            about=about, outcome="approve", members=institution.board, reasons="可", by=institution.chair, now=now,
            valid_until=now + timedelta(days=1),
        )  # fmt: skip
        assert made.members.count() == 3
    with pytest.raises(IntegrityError, match="decision_is_about_one_thing"), transaction.atomic():
        EthicsDecision.objects.filter(pk=made.pk).update(recipient=to)
