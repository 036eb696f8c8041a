"""Copying without its previous-token head during training, in the style of Singh et al. (2024).

python benchmarks/intervention_seeds.py runs/intervene --seeds 5     # trains what is missing, about 3 minutes a run

Four conditions of copier-mini for each seed: as it is; the head that becomes its previous-token head zeroed from the
start; the same until step 1,500, then released; another head of the same layer, drawn at random, zeroed from the start.
The previous-token head is the head with the largest previous-token score at the end of the first condition's run.
Prints a table, and with --figure draws the accuracy under the four conditions.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats

from grok_interp.analysis.head_scores import head_scores
from grok_interp.device import keep_freed_memory, use_threads
from grok_interp.plots import TRAINING_STEP, Axis, Drawing, Line, Panel, layer_color, save_figure
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.change_points import rise, rise_in_words
from grok_interp.studies.copying.copying_results import analyze, evaluation_inputs

RELEASED_AT = 1_500  # updates; copying emerges between 530 and 720 in these seeds
CONDITIONS = ("present", "zeroed", "released", "control")


@dataclass(frozen=True)
class Found:
    """What one run shows: when copying emerged, NaN if not, and how much of it there is at the end."""

    head: str
    onset: float
    onset_in_words: str
    exact: float
    per_token: float
    previous_token: str  # the head that attends to the previous token most, and how much

    def row(self) -> str:
        copied = f"{self.exact:.1%} / {self.per_token:.1%}"
        return f"{self.head} | {self.onset_in_words} | {copied} | {self.previous_token}"


def condition_of(name: str, layer: int, head: int, n_heads: int, seed: int) -> str:
    """The intervention of a condition; empty for none."""
    if name == "control":
        head = random.Random(seed).choice([other for other in range(n_heads) if other != head])
    return {"present": "", "released": f"L{layer}H{head} zero to {RELEASED_AT}"}.get(name, f"L{layer}H{head} zero")


def previous_token_head(run: Run) -> tuple[int, int, float]:
    """(layer, head, score) at the last checkpoint: attention to the previous token on repeated tokens."""
    step = run.steps[-1]
    found = head_scores([(step, run.load(step))], evaluation_inputs(run).tokens, scores=["previous_token"])
    last = found["previous_token"].isel(checkpoint=-1)
    layer, head = np.unravel_index(int(np.argmax(last.to_numpy())), last.shape)
    return int(layer), int(head), float(last.max())


def measured(run: Run) -> Found:
    accuracy = analyze(run).accuracy
    found = rise(accuracy.per_token(), chance=accuracy.chance["per_token"], trials=accuracy.trials["per_token"])
    layer, head, score = previous_token_head(run)
    return Found(
        head=", ".join(run.config.intervene) or "none",
        onset=np.nan if found is None else float(found.onset.value),
        onset_in_words="none" if found is None else rise_in_words(found, "onset"),
        exact=float(accuracy.exact_match()[-1]),
        per_token=float(accuracy.per_token()[-1]),
        previous_token=f"L{layer}H{head} ({score:.2f})",
    )


def difference(found: list[Found], baseline: list[Found], what: str) -> str:
    """Mean over seeds of the paired difference, with its 95% t-interval."""
    values = np.array([getattr(one, what) - getattr(other, what) for one, other in zip(found, baseline, strict=True)])
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return "undefined"
    scale, unit = (1, "updates") if what == "onset" else (100, "points")
    if not np.ptp(values):
        return f"{scale * values[0]:.1f} {unit} (all {len(values)} seeds agree)"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    mean, low, high = (scale * each for each in (values.mean(), values.mean() - half, values.mean() + half))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}] {unit} ({len(values)} seeds)"


def trained(folder: Path, condition: str, seed: int, intervention: str) -> Found:
    config = replace(training_preset("copier-mini"), init_seed=seed, data_seed=seed)
    directory = folder / condition / f"seed{seed}"
    found = measured(run_training(directory, replace(config, intervene=(intervention,) * bool(intervention))))
    print(f"| {condition} | {seed} | {found.row()} |", flush=True)
    return found


def drawing(folder: Path, n_seeds: int) -> Drawing:
    """Per-token accuracy around its onset under each condition: each seed thinly, their mean, and that of "present"."""
    panels, expected = [], []
    for condition in CONDITIONS:
        found = [analyze(Run.open(folder / condition / f"seed{seed}")).accuracy.per_token() for seed in range(n_seeds)]
        steps, curves = found[0]["checkpoint"].to_numpy(), np.array([100 * curve.to_numpy() for curve in found])
        lines = [Line(steps, curve, condition, layer_color(0), "condition", faint=True) for curve in curves]
        lines.append(Line(steps, curves.mean(axis=0), condition, layer_color(0), "condition, mean of seeds", width=1.6))
        expected = expected or [Line(steps, curves.mean(axis=0), "present", layer_color(1), "present, mean", "--")]
        accuracy = Axis("per-token accuracy (%)").at_least(0, 100)
        panels.append(Panel(TRAINING_STEP.at_least(400, 1_000), accuracy, [*lines, *expected], condition))
    return Drawing(panels, columns=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are, and are trained if they are missing")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1 (default: 5)")
    parser.add_argument("--figure", type=Path, help="draw the accuracy under the four conditions: FIGURE.svg and .pdf")
    arguments = parser.parse_args()
    cfg = training_preset("copier-mini").model
    use_threads(cfg.n_params)
    keep_freed_memory()
    print(
        "| condition | seed | intervention | onset of per-token accuracy [95% CI] | exact / per token at the end ",
        end="",
    )
    print("| previous-token head at the end |\n" + "| --- " * 6 + "|")
    train = partial(trained, arguments.folder)
    found: dict[str, list[Found]] = {name: [] for name in CONDITIONS}
    for seed in range(arguments.seeds):
        found["present"].append(train("present", seed, ""))
        layer, head, _ = previous_token_head(Run.open(arguments.folder / "present" / f"seed{seed}"))
        for name in CONDITIONS[1:]:
            found[name].append(train(name, seed, condition_of(name, layer, head, cfg.n_heads, seed)))
    print()
    for name in CONDITIONS[1:]:
        onset, exact = (difference(found[name], found["present"], what) for what in ("onset", "exact"))
        print(f"- {name} minus present: onset {onset}, exact match {exact}.")
    if arguments.figure:
        save_figure(drawing(arguments.folder, arguments.seeds), arguments.figure)


if __name__ == "__main__":
    main()
