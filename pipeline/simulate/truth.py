"""One object for each sender: what is so at the end of the last day, and never what a detector could guess."""

from __future__ import annotations

from typing import Any

from pipeline.simulate.cloud import allows_basic
from pipeline.simulate.ledger import Facts, Ledger
from pipeline.simulate.moments import iso
from pipeline.simulate.plan import Plan
from pipeline.simulate.states import Silence, judge, silence_of
from pipeline.simulate.world import NEVER, PASSWORD_WAYS, Sender, Tenant

_OAUTH = ("oauth", "relay_oauth")


def truth_of(plan: Plan, tenant: Tenant, ledger: Ledger) -> list[dict[str, Any]]:
    """Return the truth of each sender, relay account and person, by address."""
    everyone = sorted(tenant.everyone, key=lambda each: each.address)
    return [_truth(plan, tenant, sender, ledger.of(sender.address)) for sender in everyone]


def _truth(plan: Plan, tenant: Tenant, sender: Sender, facts: Facts) -> dict[str, Any]:
    facts.settle()
    silence = silence_of(plan, sender, facts)
    verdict = judge(plan, tenant, sender, facts, silence)
    return {
        "sender": sender.address,
        "category": sender.category,
        "state": verdict.state,
        "may_also_be": verdict.may_also_be,
        "why_unsure": verdict.why,
        **_who(plan, tenant, sender),
        **_what_happened(facts),
        **_what_did_not(plan, sender, facts, silence),
        "attacks": sorted(set(sender.attacks)),
        "notes": sender.notes,
    }


def _who(plan: Plan, tenant: Tenant, sender: Sender) -> dict[str, Any]:
    devices = sender.devices
    ways = {device.name: tenant.way_now(device, plan.end) for device in devices}
    return {
        "rhythm": [device.rhythm.words for device in devices],
        "is_irregular": all(device.rhythm.is_irregular for device in devices) if devices else True,
        "path": sorted({device.path for device in devices}),
        "sites": sorted({device.site.name for device in devices}),
        "devices": [
            {"name": device.name, "ip": device.ip_at(plan.end), "way_now": ways[device.name]} for device in devices
        ],
        "nat": sorted({device.public_ip for device in devices}),
        "in_exposure": allows_basic(sender, tenant, plan.end - 1),
        "way_now": next((way for way in ways.values() if way != "none"), "none"),
    }


def _what_happened(facts: Facts) -> dict[str, Any]:
    ins = [each for each in facts.tries if each.is_in]
    passwords = [each.at for each in ins if each.way in PASSWORD_WAYS]
    refused = [each for each in facts.tries if not each.is_in]
    after = [each.at for each in ins if refused and each.at > refused[0].at and each.way != "outlook"]
    new = [each.at for each in ins if passwords and each.at > passwords[-1] and each.way != "outlook"]
    return {
        "basic_successes": _span(passwords),
        "oauth": _span([each.at for each in ins if each.way in _OAUTH]),
        "refused": {"count_answers": len(refused), **_ends([each.at for each in refused])},
        "refusals_logged": any(each.is_logged for each in refused),
        "logged_answers": sum(each.is_logged for each in refused),
        "logged_answers_with_sender": sum(each.is_logged and each.is_named for each in refused),
        "accepted_after_first_refusal": {"count": len(after), "last": _text(after[-1]) if after else None},
        "migrated_at": _text(new[0]) if new else None,
        "mails_since_migration": len(new),
        "last_mail_in": _text(ins[-1].at) if ins else None,
    }


def _what_did_not(plan: Plan, sender: Sender, facts: Facts, silence: Silence) -> dict[str, Any]:
    since = max((each.at for each in facts.tries if each.is_in), default=plan.first)
    dead = [device.dead for device in sender.devices if device.dead < NEVER]
    retired = [device.retired for device in sender.devices if device.retired < plan.end]
    return {
        "died_at": _text(min(dead)) if dead else None,
        "retired_on_purpose": _text(min(retired)) if retired else None,
        "missed_mails": [_text(moment) for moment, _ in facts.missed if moment > since][:3],
        "held_in_a_queue": len(facts.held),
        "overdue_at": _text(silence.overdue_at) if silence.overdue_at is not None else None,
    }


def _span(moments: list[int]) -> dict[str, Any]:
    return {**_ends(moments), "count": len(moments)}


def _ends(moments: list[int]) -> dict[str, Any]:
    first, last = (_text(moments[0]), _text(moments[-1])) if moments else (None, None)
    return {"first": first, "last": last}


def _text(moment: int) -> str:
    return iso(moment)
