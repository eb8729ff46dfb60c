"""Exact bounds on what an audit did not read: small samples, no normal approximation, no assumption about the proxy.

An audit reads each row with the same probability, `rate`, whatever its score. If it reads `seen` rows of a kind, how
many of that kind can there be among those that it did not read? With x of them unread, the number read before the x-th
unread one is negative binomial, which gives the exact bound of Clopper and Pearson (Biometrika 26, 1934) for a sample
whose size is itself random.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

TERMS_MAX = 1 << 22


@lru_cache(maxsize=65_536)
def unread_upper(seen: int, rate: float, delta: float) -> int:
    """The most rows of a kind that the audit left unread, at confidence 1 − delta, given that it read `seen`.

    The largest x for which reading at most `seen` of `seen` + x rows has a probability above delta: the 1 − delta
    quantile of the negative binomial (failures before success number `seen` + 1).

    Raises:
        ValueError: the rate is not in (0, 1], or delta not in (0, 1).
    """
    if not 0 < rate <= 1 or not 0 < delta < 1:
        raise ValueError(f"rate must be in (0, 1] and delta in (0, 1): rate={rate!r} delta={delta!r}")
    if rate == 1:
        return 0
    reach = 64 + int(4 * (seen + 1 - math.log(delta)) / rate)
    while True:
        reach = min(reach, TERMS_MAX)
        x = np.arange(reach)
        log_mass = _log_binomials(seen, reach) + (seen + 1) * math.log(rate) + x * math.log1p(-rate)
        at_most = np.cumsum(np.exp(log_mass))
        place = int(np.searchsorted(at_most, 1 - delta, side="left"))
        if place < reach or reach == TERMS_MAX:
            return place
        reach *= 4


def total_upper(rows: int, read: int, seen: int, delta: float) -> int:
    """The most rows of a kind among all, at confidence 1 − delta, if `read` drawn evenly have `seen` of them.

    The exact bound for sampling without replacement: the largest total for which seeing at most `seen` has a
    probability above delta (hypergeometric; Buonaccorsi, American Statistician 41, 1987).
    """
    low, high = seen, rows - (read - seen)
    while low < high:
        middle = (low + high + 1) // 2
        if _hypergeometric(seen, rows, middle, read) > delta:
            low = middle
        else:
            high = middle - 1
    return low


def _hypergeometric(seen: int, rows: int, total: int, read: int) -> float:
    """The probability that `read` of `rows` hold at most `seen` of `total`."""
    least = max(0, read - (rows - total))
    if seen < least:
        return 0.0
    logs = [
        _log_choose(total, k) + _log_choose(rows - total, read - k) - _log_choose(rows, read)
        for k in range(least, min(seen, total, read) + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, logs)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_binomials(seen: int, reach: int) -> npt.NDArray[np.float64]:
    """Logarithms of (x + seen) over seen, for x = 0 .. reach − 1."""
    steps = np.zeros(reach)
    x = np.arange(1, reach)
    steps[1:] = np.log1p(seen / x)
    return np.cumsum(steps)
