"""The verdict on a claim: an interval over seeds decides, and says how many seeds a decision needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from grok_interp.analysis.effects_over_seeds import POWER, Effect
from grok_interp.analysis.emergence import Estimate
from grok_interp.statistics.power import MOST
from grok_interp.studies.claim import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Claim, JudgedClaim


def judged(
    claim: Claim,
    measure: str,
    found: Effect,
    evidence: str,
    *,
    boundary: float = 0.0,
    verdict: str,
    seeds: Collection[int],
) -> JudgedClaim:
    """With the number of seeds that a decision needs; an undecided claim says it in its evidence too.

    Args:
        claim: that is judged.
        measure: what was measured.
        found: the effect over seeds.
        evidence: the numbers, in words.
        boundary: between both verdicts.
        verdict: as `verdict` gives it.
        seeds: of each run that was trained, used or not.
    """
    needed = [found.seeds_needed(boundary=boundary, fraction=fraction) for fraction in (1.0, 0.5)]
    if verdict == UNDECIDED:
        evidence += f"; {_plan(needed)}"
    whole = (int(n) if np.isfinite(n) else None for n in needed)
    return claim.judged(measure, verdict, evidence, len(set(seeds)), *whole, len(seeds), found.n_runs)


def _plan(needed: Sequence[float]) -> str:
    if np.isnan(needed[0]):
        return "how many seeds would decide it cannot be estimated: fewer than two have a value"
    observed, half = (f"{n:,.0f} seeds" if np.isfinite(n) else f"more than {MOST:,} seeds" for n in needed)
    return f"{observed} would decide it with a power of {POWER:.0%} if the effect is as observed, {half} if it is half"


def verdict(found: Estimate, *, boundary: float = 0.0, above: bool = True) -> str:
    """Supported when the whole interval is above (or below) the boundary, not supported when on the other side.

    Args:
        found: a value with its interval.
        boundary: in its unit.
        above: is the claim that the value is above the boundary?
    """
    if found.low > boundary:
        return SUPPORTED if above else NOT_SUPPORTED
    if found.high < boundary:
        return NOT_SUPPORTED if above else SUPPORTED
    return UNDECIDED
