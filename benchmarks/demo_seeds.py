"""The demo's recipe on several seeds: when copying emerges, after how much of the loss's fall, and how well it ends.

python benchmarks/demo_seeds.py runs/demo_seeds --seeds 8      # trains what is missing, about 3 minutes a seed

Targets, fixed before the runs: per-token accuracy on printable strings rises from below 10% to above 70% within a tenth
of the training; at its onset the validation loss has made at least 80% of its total fall; at the last checkpoint each
of the five strings has an exact-match accuracy of 90% or more.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.data.copying import CopyTask
from grok_interp.device import choose_threads, keep_freed_memory, threads
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.change_points import rise, rise_in_words
from grok_interp.studies.copying.copying_results import analyze, evaluation_inputs

N_SAMPLES, SAMPLE_SEED = 500, 1  # of the last checkpoint's test: other strings than the analysis uses
LOW, HIGH, RISE, FALL, EXACT = 0.1, 0.7, 0.1, 0.8, 0.9


@dataclass(frozen=True)
class Seed:
    """What one run shows."""

    onset: str
    rise: tuple[float, float]  # last step below LOW, first step above HIGH
    fall: float  # fraction of the validation loss's fall that was made at the onset
    printable: CopyingAccuracy
    hexadecimal: CopyingAccuracy
    n_steps: int

    @property
    def passed(self) -> tuple[bool, bool, bool]:
        exact = self.printable.per_sequence()[-1]
        return (self.rise[1] - self.rise[0] <= RISE * self.n_steps, self.fall >= FALL, bool((exact >= EXACT).all()))


def measured(directory: Path) -> Seed:
    run = Run.open(directory)
    results = analyze(run)
    token, loss = results.accuracy.per_token(), results.loss.mean()
    found = rise(token, chance=results.accuracy.chance["per_token"], trials=results.accuracy.trials["per_token"])
    assert found is not None, "too few checkpoints for a change point"
    task = evaluation_inputs(run).samples.task
    last = [(run.steps[-1], run.load(run.steps[-1]))]
    tests = [replace(task, n_samples=N_SAMPLES, seed=SAMPLE_SEED)]
    tests.append(CopyTask.fitting(run.config.model.n_ctx, n_samples=N_SAMPLES, seed=SAMPLE_SEED))
    printable, hexadecimal = (copying_accuracy(last, test.sample()) for test in tests)
    return Seed(
        onset=rise_in_words(found, "onset"),
        rise=rise_of(token),
        fall=fall_at(loss, float(found.onset.value)),
        printable=printable,
        hexadecimal=hexadecimal,
        n_steps=run.config.n_steps,
    )


def rise_of(curve: xr.DataArray) -> tuple[float, float]:
    """(last step at or before which the curve is below LOW, first later step above HIGH); infinite if there is none."""
    steps, values = curve["checkpoint"].values, curve.values
    above = np.flatnonzero(values > HIGH)
    if not len(above):
        return (0.0, np.inf)
    below = np.flatnonzero(values[: above[0]] < LOW)
    return (float(steps[below[-1]]) if len(below) else -np.inf, float(steps[above[0]]))


def fall_at(loss: xr.DataArray, step: float) -> float:
    """The fraction of the loss's fall, first to last checkpoint, made at a step (linear between checkpoints)."""
    first, last = float(loss[0]), float(loss[-1])
    return (first - float(np.interp(step, loss["checkpoint"].values, loss.values))) / (first - last)


def row(seed: int, found: Seed) -> str:
    exact = " ".join(f"{value:.0%}" for value in found.printable.per_sequence()[-1].values)
    rise = f"{found.rise[0]:,.0f} to {found.rise[1]:,.0f}"
    numbers = [f"{float(each.exact_match()[-1]):.1%} / {float(each.per_token()[-1]):.1%}" for each in _both(found)]
    marks = " ".join("yes" if passed else "no" for passed in found.passed)
    return f"| {seed} | {found.onset} | {rise} | {found.fall:.0%} | {exact} | {' | '.join(numbers)} | {marks} |"


def _both(found: Seed) -> list[CopyingAccuracy]:
    return [found.printable, found.hexadecimal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are, and are trained if they are missing")
    parser.add_argument("--seeds", type=int, default=8, help="seeds 0 to N - 1 (default: 8)")
    parser.add_argument("--precision", choices=("auto", "float32"), default="auto", help="of the training")
    parser.add_argument("--compiled", action="store_true", help="compile the training step")
    arguments = parser.parse_args()
    recipe = replace(training_preset("copier-mini"), precision=arguments.precision)
    keep_freed_memory()
    heads = ["seed", "onset [95% CI]", "10% to 70% per token", "drop in loss at the onset"]
    heads += [f"exact match of strings 0-4 ({N_SAMPLES} samples)", "printable: exact / per token"]
    print(" | ".join(["", *heads, "hexadecimal: exact / per token", "targets met", ""]).strip())
    print("| --- " * (len(heads) + 2) + "|")
    passed = []
    for seed in range(arguments.seeds):
        directory = arguments.folder / f"seed{seed}"
        run_training(directory, replace(recipe, init_seed=seed, data_seed=seed), compiled=arguments.compiled)
        with threads(choose_threads(recipe.model.n_params)):  # training sets its own, as `grok-interp demo` does
            found = measured(directory)
        passed.append(found.passed)
        print(row(seed, found), flush=True)
    counts = ", ".join(f"{sum(each)} of {len(passed)}" for each in zip(*passed, strict=True))
    print(f"\nTargets met (rise within a tenth of the training, loss at the onset, every string): {counts}.")


if __name__ == "__main__":
    main()
