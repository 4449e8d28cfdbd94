"""
When a job that runs each morning really runs: late, twice, or not at all, and then the next run catches up.

The last two mornings never fail, so all that happened before the end is in some file.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import DAY, HOUR, MINUTE
from pipeline.simulate.plan import Plan
from pipeline.simulate.world import Tenant


@dataclass(frozen=True, slots=True)
class Run:
    """One run at `at`, which asks for what came since the run before it, `since`."""

    at: int
    since: int


def runs(plan: Plan, tenant: Tenant, name: str, hour: float) -> list[Run]:
    """Return the runs of the job `name`, from the second morning to the second after the end."""
    dice = Dice(plan.seed, "mornings", name)
    rates = tenant.rates
    last = plan.start
    found = []
    for number in range(1, plan.days + 3):
        if number < plan.days + 1 and dice.chance(rates["missing_exports"]):
            continue
        late = dice.wide(0.5, 12) if dice.chance(rates["late_exports"]) else dice.uniform(0, 0.3)
        at = plan.start + number * DAY + round((hour + late) * HOUR)
        found.append(Run(at, last))
        if dice.chance(rates["repeated_exports"]):
            found.append(Run(at + round(dice.uniform(10, 90)) * MINUTE, last))
        last = at
    return found
