"""
Chance, from the seed alone.

Everything that is drawn for one thing comes from a stream of its own, named after it, so that one more sender or one
more draw somewhere changes nothing elsewhere.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice(random.Random):
    """A stream of chance with the few shapes that this world is made of."""

    def __init__(self, *names: object) -> None:
        super().__init__("/".join(map(str, names)))

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        """Return one of the things, faster than the standard library does."""
        return seq[int(self.random() * len(seq))]

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:  # noqa: ARG002 - as above
        """Return a whole number below `stop`, from `start` on."""
        if stop is None:
            return int(self.random() * start)
        return start + int(self.random() * (stop - start))

    def chance(self, share: float) -> bool:
        """Return True in `share` of all throws."""
        return self.random() < share

    def poisson(self, mean: float) -> int:
        """Return how often something happens that happens `mean` times on average."""
        if mean > 30:
            return max(0, round(self.gauss(mean, math.sqrt(mean))))
        limit, product, count = math.exp(-mean), self.random(), 0
        while product > limit:
            product *= self.random()
            count += 1
        return count

    def wide(self, low: float, high: float) -> float:
        """Return a value between `low` and `high` of which no order of magnitude is preferred."""
        return float(math.exp(self.uniform(math.log(low), math.log(high))))

    def pick(self, weights: Sequence[tuple[T, float]]) -> T:
        """Return one of the things, each as often as its weight says."""
        return self.choices([thing for thing, _ in weights], [weight for _, weight in weights])[0]

    def hex(self, digits: int) -> str:
        """Return so many hexadecimal digits."""
        return f"{self.getrandbits(4 * digits):0{digits}x}"
