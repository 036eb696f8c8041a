"""How often the intervals and the test of `emergence` are right, on simulated curves whose change point is known.

    python benchmarks/calibration.py            300 curves per row: standard errors of 1 to 1.3 points
    python benchmarks/calibration.py --curves 2000
    python benchmarks/calibration.py --quick    40 curves per row

Each row is one kind of curve at one schedule of checkpoints. `demo` has the 57 checkpoints of `grok-interp demo`; 8 and
300 checkpoints are evenly spaced over as many steps. Noise is AR(rho) over checkpoints. A rise has a height of `height`
standard deviations of the noise; its onset is uniform over the gaps between 30% and 50% of the checkpoints.

    on the grid      onset and end are checkpoints
    off the grid     onset and end are between checkpoints; width 5% to 15% of training (10% to 25% at 8 checkpoints)
    slow             off the grid, width 60% to 90% of training; the onset is anywhere that leaves room for it
    drift after      off the grid, then a drift of 20% of the height over all of training
    drift            off the grid, with that drift after the rise and half of it before
    jump             width 0, between checkpoints
    accuracy         off the grid, from 0.06 to 0.9, noise of 400 binomial trials: none near 0 and 1, most in between
    steep accuracy   from 1/94 to 0.993 within 50 to 200 steps that begin at 500 to 900, 3,000 trials: as the demo's
                     per-token accuracy, were it a straight line
    clustered        the same of 300 strings of 10 answers, all right or all wrong
    fluctuating      as "steep accuracy", and training fluctuates: AR(rho) noise with a standard deviation of 0.5 is
                     added to the logit of the accuracy; of 0.2 in "weakly", of 1 in "strongly fluctuating"
    slow fluctuating as "fluctuating", with the width and the onset of "slow"
    late             from 0 to 0.96 within 50 to 200 steps that begin at 2,500 to 3,400, 640 trials: as an exact-match
                     accuracy of 0 for most of training
    flat             no rise: an onset that is found is false

`emergence` is told the number of trials of each kind of accuracy; of "clustered" all 3,000.

Coverage and widths are those of the curves in which an onset is found; widths are medians, of the intervals of onset /
midpoint / end. The oracle is the same confidence set with rho and the standard deviation of the noise known. "Cannot
tell" is the outcome when no onset is found and a clear rise would be missed in more than 10% of cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
import xarray as xr
from joblib import Parallel, delayed
from scipy.special import expit, logit

from grok_interp.analysis.emergence import emergence
from grok_interp.statistics.change_point import change_point
from grok_interp.statistics.flatness import autocorrelated
from grok_interp.statistics.noise import Noise

N_STEPS, SEED = 4_000, 0
DEMO = sorted({0, 1, 2, 5, 10, 22, 46, *range(50, 1_000, 50), *range(1_000, N_STEPS + 1, 100)})
SCHEDULES = {"demo": np.array(DEMO, float), "8": np.linspace(0, N_STEPS, 8), "300": np.linspace(0, N_STEPS, 300)}
DRIFTS = {"drift after": (0.0, 0.2), "drift": (0.1, 0.2)}
BINOMIAL = {  # trials, before, after
    "accuracy": (400, 0.06, 0.9),
    "steep accuracy": (3_000, 1 / 94, 0.993),
    "clustered": (3_000, 1 / 94, 0.993),
    "fluctuating": (3_000, 1 / 94, 0.993),
    "weakly fluctuating": (3_000, 1 / 94, 0.993),
    "strongly fluctuating": (3_000, 1 / 94, 0.993),
    "slow fluctuating": (3_000, 1 / 94, 0.993),
    "late": (640, 0.0, 0.96),
}
FLUCTUATION = {
    "fluctuating": 0.5,
    "weakly fluctuating": 0.2,
    "strongly fluctuating": 1.0,
    "slow fluctuating": 0.5,
}  # sd of the logit
SLOW = ("slow", "slow fluctuating")
CLUSTER = {"clustered": 10}
STEEP = {name: (500, 900) for name in ("steep accuracy", "clustered", *FLUCTUATION) if name not in SLOW} | {
    "late": (2_500, 3_400)
}  # onsets
ESTIMATES = ("onset", "midpoint", "end")


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    schedule: str
    kind: str
    rho: float
    height: float = 5.0

    def curve(self, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
        """One curve in units of the noise's standard deviation, and its true onset and end."""
        steps = SCHEDULES[self.schedule]
        onset, end = self.change(rng, steps)
        rise = np.clip((steps - onset) / (end - onset), 0, 1) if end > onset else (steps >= onset).astype(float)
        if self.kind in BINOMIAL:
            trials, low, high = BINOMIAL[self.kind]
            independent, level = trials // CLUSTER.get(self.kind, 1), low + (high - low) * rise
            if self.kind in FLUCTUATION:
                noise = autocorrelated(rng, (1, len(steps)), self.rho)[0]
                level = expit(logit(level) + FLUCTUATION[self.kind] * noise)
            return rng.binomial(independent, level) / independent, (onset, end)
        before, after = DRIFTS.get(self.kind, (0.0, 0.0))
        drift = (before * np.minimum(steps - onset, 0) + after * np.maximum(steps - end, 0)) / N_STEPS
        noise = autocorrelated(rng, (1, len(steps)), self.rho)[0]
        return (0 if self.kind == "flat" else self.height * (rise + drift)) + noise, (onset, end)

    def change(self, rng: np.random.Generator, steps: np.ndarray) -> tuple[float, float]:
        if self.kind in STEEP:
            onset = rng.uniform(*STEEP[self.kind])
            return onset, onset + rng.uniform(50, 200)
        if self.kind in SLOW:
            width = N_STEPS * rng.uniform(0.6, 0.9)
            onset = rng.uniform(0.005 * N_STEPS, 0.995 * N_STEPS - width)
            return onset, onset + width
        gap = int(rng.integers(round(0.3 * len(steps)), round(0.5 * len(steps)) + 1))
        if self.kind == "on the grid":
            return steps[gap], steps[gap + int(rng.integers(2, max(3, len(steps) // 8) + 1))]
        onset = rng.uniform(steps[gap], steps[gap + 1])
        if self.kind == "jump":
            return onset, onset
        return onset, onset + N_STEPS * (rng.uniform(0.1, 0.25) if len(steps) == 8 else rng.uniform(0.05, 0.15))


@dataclass(frozen=True)
class Row:
    """What came out of all curves of a scenario; `covered`, `widths` and `oracle` have a column per estimate."""

    outcomes: list[str]
    covered: np.ndarray
    widths: np.ndarray
    oracle: np.ndarray

    def cells(self, scenario: Scenario) -> list[str]:
        found, unclear = self.outcomes.count("emerged"), self.outcomes.count("cannot tell")
        n, flat = len(self.outcomes), scenario.kind == "flat"
        cover = ["-"] * 3 if flat or not found else [f"{each:.1%}" for each in self.covered.mean(axis=0)]
        widths = [_medians(each) for each in (self.widths, self.oracle)]
        height = "-" if flat else "varies" if scenario.kind in BINOMIAL else f"{scenario.height:g}"
        kind = [scenario.schedule, scenario.kind, f"{scenario.rho:g}", height]
        return [*kind, *cover, f"{found / n:.1%}", f"{unclear / n:.1%}", *widths, f"{n}"]


def scenarios() -> list[Scenario]:
    rhos, ends = (0.0, 0.3, 0.5, 0.7), (0.0, 0.7)
    rises = [
        Scenario("demo", kind, rho) for kind in ("on the grid", "off the grid", "slow", *DRIFTS, "jump") for rho in rhos
    ]
    clean = [Scenario("demo", kind, 0.5, 20) for kind in ("on the grid", "off the grid", "jump")]
    others = [
        Scenario(schedule, kind, rho, height)
        for schedule, height in (("8", 5), ("8", 20), ("300", 5))
        for kind in ("off the grid", "jump")
        for rho in ends
    ]
    flat = [Scenario(schedule, "flat", rho) for schedule in SCHEDULES for rho in (*rhos, 0.9)]
    accuracies = [Scenario("demo", kind, 0.0) for kind in BINOMIAL if kind not in FLUCTUATION]
    fluctuating = [Scenario("demo", "fluctuating", rho) for rho in (*rhos, 0.9)]
    fluctuating += [Scenario("demo", f"{how} fluctuating", rho) for how in ("weakly", "strongly") for rho in (0.5, 0.9)]
    fluctuating += [Scenario("demo", "slow fluctuating", rho) for rho in (0.0, 0.5, 0.7)]
    return [*rises, *clean, *accuracies, *fluctuating, *others, *flat]


def simulated(scenario: Scenario, n_curves: int) -> Row:
    rng = np.random.default_rng([SEED, *scenario_key(scenario)])
    steps, outcomes, covered, widths, oracle = SCHEDULES[scenario.schedule], [], [], [], []
    for number in range(n_curves):
        curve, (onset, end) = scenario.curve(rng)
        trials = BINOMIAL[scenario.kind][0] if scenario.kind in BINOMIAL else None
        found = emergence(xr.DataArray(curve, {"checkpoint": steps}, ["checkpoint"]), trials=trials)
        outcomes.append(found.outcome)
        if found.emerged and scenario.kind != "flat":
            truth, intervals = (onset, (onset + end) / 2, end), [getattr(found, name) for name in ESTIMATES]
            covered.append([each.low <= true <= each.high for each, true in zip(intervals, truth, strict=True)])
            widths.append([each.high - each.low for each in intervals])
            if scenario.kind not in BINOMIAL and number % 2 == 0:
                oracle.append(oracle_widths(steps, curve, scenario.rho))
    return Row(outcomes, np.array(covered), np.array(widths), np.array(oracle))


def oracle_widths(steps: np.ndarray, curve: np.ndarray, rho: float) -> list[float]:
    pairs = change_point(steps, curve, noise=Noise(np.array([rho]), 1.0)).pairs
    return [float(np.ptp(each)) for each in (pairs[:, 0], pairs.mean(axis=1), pairs[:, 1])]


def scenario_key(scenario: Scenario) -> list[int]:
    """Rows do not depend on each other, but those that differ in height alone have the same positions and noise."""
    return [int(scenario.schedule.replace("demo", "57")), sum(scenario.kind.encode()), round(100 * scenario.rho)]


def main(*, quick: bool = False, curves: int = 300, jobs: int = 1) -> None:
    """Print the table as Markdown; the same table for any number of jobs.

    Args:
        quick: 40 curves per row.
        curves: simulated curves per row.
        jobs: rows that are simulated at the same time.
    """
    names = ["checkpoints", "curve", "rho", "height", "onset covered", "midpoint covered", "end covered", "onset found"]
    names += ["cannot tell", "median widths", "oracle's", "curves"]
    print("| " + " | ".join(names) + " |\n|" + " --- |" * len(names))
    run = Parallel(n_jobs=jobs, return_as="generator")
    rows: Any = run(delayed(simulated)(scenario, 40 if quick else curves) for scenario in scenarios())
    for scenario, row in zip(scenarios(), rows, strict=True):
        print("| " + " | ".join(row.cells(scenario)) + " |", flush=True)


def _medians(widths: np.ndarray) -> str:
    return " / ".join(f"{width:,.0f}" for width in np.median(widths, axis=0)) if len(widths) else "-"


if __name__ == "__main__":
    tyro.cli(main)
