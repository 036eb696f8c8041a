"""In which order induction heads form: the preset copier-deep on several seeds, Figure 6 of the copying paper.

python benchmarks/deep_seeds.py runs/deep_seeds --seeds 5      # trains what is missing, about 5 minutes a seed

A head has formed at the first checkpoint at which I(L, H) is above 0.1. "Several layers", fixed before the runs: two or
more layers that each have a head with I(L, H) of 0.1 or more at the last checkpoint, in 4 of 5 seeds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from grok_interp.analysis.formation import FormationOrder, formation_order, pooled_depth_order
from grok_interp.device import keep_freed_memory, use_threads
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.change_points import rise, rise_in_words
from grok_interp.studies.copying.copying_results import FORMED, analyze


@dataclass(frozen=True)
class Seed:
    """What one run shows."""

    order: FormationOrder
    last: xr.DataArray  # I(L, H) at the last checkpoint
    onset: str
    exact: float
    per_token: float

    @property
    def layers(self) -> list[int]:
        """Those with an induction head at the last checkpoint."""
        formed = (self.last >= FORMED).any("head")
        return formed["layer"][formed].values.tolist()

    @property
    def heads(self) -> str:
        """Each head that formed: its onset, and I(L, H) at the last checkpoint."""
        onsets = self.order["onset"].to_series().dropna().sort_values(kind="stable")
        return ", ".join(
            f"L{layer}H{head} {step:,.0f} ({float(self.last.sel(layer=layer, head=head)):.2f})"
            for (layer, head), step in zip(onsets.index.tolist(), onsets, strict=True)
        )


def measured(directory: Path) -> Seed:
    results = analyze(Run.open(directory))
    token = results.accuracy.per_token()
    found = rise(token, chance=results.accuracy.chance["per_token"], trials=results.accuracy.trials["per_token"])
    assert found is not None, "too few checkpoints for a change point"
    return Seed(
        order=formation_order(results.induction, threshold=FORMED),
        last=results.induction["I"].isel(checkpoint=-1),
        onset=rise_in_words(found, "onset"),
        exact=float(results.accuracy.exact_match()[-1]),
        per_token=float(token[-1]),
    )


def row(seed: int, found: Seed) -> str:
    copied = f"{found.exact:.0%} / {found.per_token:.0%}"
    layers = ", ".join(map(str, found.layers)) or "none"
    return f"| {seed} | {found.onset} | {copied} | {found.heads} | {layers} | {found.order.depth_order()} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are, and are trained if they are missing")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1 (default: 5)")
    arguments = parser.parse_args()
    recipe = training_preset("copier-deep")
    use_threads(recipe.model.n_params)
    keep_freed_memory()
    print("| seed | onset of per-token accuracy [95% CI] | exact / per token at the end ", end="")
    print("| heads: step at which I > 0.1 (I at the end) | layers with I >= 0.1 at the end | Kendall's tau |")
    print("| --- " * 6 + "|")
    found = []
    for seed in range(arguments.seeds):
        directory = arguments.folder / f"seed{seed}"
        run_training(directory, replace(recipe, init_seed=seed, data_seed=seed))
        found.append(measured(directory))
        print(row(seed, found[-1]), flush=True)
    several = sum(len(each.layers) >= 2 for each in found)
    print(f"\nInduction heads in two or more layers: {several} of {len(found)} seeds.")
    print(f"All seeds together, compared within each: {pooled_depth_order([each.order for each in found])}.")


if __name__ == "__main__":
    main()
