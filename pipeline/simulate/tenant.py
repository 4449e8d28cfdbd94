"""The whole of it: found a tenant, live through its days, write what there is to read, and the truth beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.simulate import noise
from pipeline.simulate.attacks import Guess, attack
from pipeline.simulate.cloud import Cloud
from pipeline.simulate.exports import posture, report, signins, traces
from pipeline.simulate.founding import found
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.life import Life
from pipeline.simulate.moments import iso
from pipeline.simulate.plan import Plan
from pipeline.simulate.queues import QUEUES
from pipeline.simulate.shelf import Shelf
from pipeline.simulate.truth import truth_of
from pipeline.simulate.world import NEVER, Tenant

TRUTH, WORLD = "truth.jsonl", "world.json"


@dataclass(frozen=True, slots=True)
class Lived:
    """A tenant after its days: what happened, who tried in vain to break in, and the truth."""

    tenant: Tenant
    ledger: Ledger
    guesses: list[Guess]
    truth: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Story:
    """What came of a plan: the tenant's truth, its figures, and the files that tell of it."""

    truth: list[dict[str, Any]]
    world: dict[str, Any]
    counts: dict[str, int] = field(default_factory=dict)


def live(plan: Plan) -> Lived:
    """Return what happens in the tenant of `plan`; nothing is written."""
    tenant, ledger = found(plan), Ledger()
    cloud = Cloud(plan, tenant)
    life = Life(plan, tenant, cloud, ledger)
    life.run()
    accounts = {account.address: account for account in tenant.accounts}
    for host, relay in tenant.relays.items():
        QUEUES[relay.kind](plan, relay, accounts[relay.account], cloud, ledger).run(life.arrivals[host])
    guesses = attack(plan, tenant, cloud, ledger)
    return Lived(tenant, ledger, guesses, truth_of(plan, tenant, ledger))


def simulate(plan: Plan, folder: Path) -> Story:
    """Simulate the tenant of `plan` into `folder`."""
    lived, shelf = live(plan), Shelf(folder)
    tenant, mails = lived.tenant, lived.ledger.mails
    counts = {
        "near_misses": noise.add(plan, tenant, lived.ledger.logs),
        "log_lines": shelf.put_logs(lived.ledger.logs),
        "trace_rows": traces.write(plan, tenant, mails, shelf),
        "sign_ins": signins.write(plan, tenant, mails, lived.guesses, shelf),
        "failed_log_ins": len(lived.guesses),
        "mails": len(mails),
    }
    report.write(plan, tenant, mails, shelf)
    posture.write(plan, tenant, shelf)
    world = _world(plan, tenant, lived.truth, counts)
    shelf.put_manifest()
    shelf.put_lines(TRUTH, lived.truth)
    shelf.put_lines(WORLD, [world])
    return Story(lived.truth, world, counts | {"files": len(shelf.entries)})


def _world(plan: Plan, tenant: Tenant, truth: list[dict[str, Any]], counts: dict[str, int]) -> dict[str, Any]:
    own = [each for each in truth if each["category"] != "person"]
    nats = Counter(device.public_ip for sender in tenant.senders for device in sender.devices)
    return {
        "seed": plan.seed,
        "senders": plan.senders,
        "first": iso(plan.first),
        "start": iso(plan.start),
        "cutover": iso(plan.cutover),
        "end": iso(plan.end),
        "mode": tenant.mode,
        "phase_days": round(tenant.phase / 86_400_000, 1) if tenant.mode == "phased" else 0,
        "reopened": iso(tenant.reopened) if tenant.reopened < NEVER else None,
        "smtp_auth_disabled_for_the_tenant": tenant.tenant_disabled,
        "smtp_auth_off_by_mistake": [[iso(start), iso(end)] for start, end in tenant.off_spans],
        "rates": {name: round(rate, 4) for name, rate in tenant.rates.items()},
        "share_behind_a_shared_address": round(
            sum(count for count in nats.values() if count > 1) / max(1, sum(nats.values())), 3
        ),
        "share_without_a_log": round(sum(each["path"] == ["direct"] for each in own) / max(1, len(own)), 3),
        "share_unsure": round(sum(bool(each["may_also_be"]) for each in own) / max(1, len(own)), 3),
        "relays": [
            {
                "host": relay.host,
                "kind": relay.kind,
                "zone": "UTC" if relay.stamps == "syslog" or relay.kind != "postfix" else str(relay.site.zone),
                "mended_at": iso(relay.mended) if relay.mended < NEVER else None,
                "soft_bounce": relay.soft_bounce,
                "rescues": relay.rescues,
            }
            for relay in tenant.relays.values()
        ],
        "counts": counts,
        "states": dict(sorted(Counter(each["state"] for each in own).items())),
    }
