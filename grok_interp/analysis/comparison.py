"""Training curves of several runs side by side: what one condition changes, seed by seed.

exact_match  fraction of suffixes copied without an error, the paper's accuracy   0 to 1
per_token    fraction of suffix tokens predicted                                  0 to 1
loss         of held-out text                                                     nats
induction    the largest I(L, H) of all heads                                     -1 to 1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.loss import PositionLoss
from grok_interp.arguments import checked
from grok_interp.configs import TrainConfig
from grok_interp.results.result import Measure, Result

MeasuredRun = tuple[TrainConfig, CopyingAccuracy, PositionLoss, InductionScores]  # of one run
FREE = ("init_seed", "data_seed", "checkpoint_steps", "micro_batch_size")  # seeds, and what changes no training
NEITHER = "neither"  # the condition in which all that is varied is 0


class TrainingCurves(Result):
    """Four measures over training; NaN where a run has no such checkpoint.

    The coordinate `tokens_per_step` of a condition turns its updates into training tokens. `dataset.attrs["chance"]`
    has the accuracies of a uniform guess, by measure, and `dataset.attrs["trials"]` the number of independent answers
    of an accuracy (the least of all runs).
    """

    name = "training_curves"
    dims = ("condition", "seed", "checkpoint")
    measures: ClassVar = {
        "exact_match": Measure("exact-match accuracy", "fraction"),
        "per_token": Measure("per-token accuracy", "fraction"),
        "loss": Measure("validation loss", "nats"),
        "induction": Measure("largest induction score I(L, H)", "1"),
    }

    def of(self, measure: str, condition: str) -> xr.DataArray:
        """seed x checkpoint, without the checkpoints that no run of the condition has.

        Args:
            measure: a variable of the result.
            condition: one of those compared.
        """
        return self[measure].sel(condition=condition).dropna("checkpoint", how="all")

    def mean(self, measure: str, condition: str) -> xr.DataArray:
        """Over the seeds that have the checkpoint.

        Args:
            measure: a variable of the result.
            condition: one of those compared.
        """
        return self.of(measure, condition).mean("seed")

    def each(self, measure: str) -> dict[tuple[str, int], xr.DataArray]:
        """(condition, seed) -> one curve over its own checkpoints.

        Args:
            measure: a variable of the result.
        """
        chosen = self[measure]
        curves = {
            (condition, seed): chosen.sel(condition=condition, seed=seed, drop=True).dropna("checkpoint")
            for condition in chosen["condition"].values.tolist()
            for seed in chosen["seed"].values.tolist()
        }
        return {key: curve for key, curve in curves.items() if curve.size}

    def __str__(self) -> str:
        sizes = self.dataset.sizes
        return f"training curves of {sizes['condition']} conditions x {sizes['seed']} seeds"


@checked
def training_curves(
    runs: Iterable[tuple[TrainConfig, CopyingAccuracy, PositionLoss, InductionScores]], *, varied: Sequence[str] = ()
) -> TrainingCurves:
    """Copying accuracies, loss and induction of runs that differ in seeds and in the `varied` fields, side by side.

    Args:
        runs: (config, copying accuracy, loss, induction scores) of each run.
        varied: dotted fields of the config in which the runs may differ ("batch_size", "data.copy_fraction").

    Returns:
        The curves by condition, seed and checkpoint.

    Raises:
        ValueError: for runs that differ in more, two of the same condition and seed, and conditions whose weights were
            drawn from other seeds: then a difference would not be the condition's.

    Example:
        >>> from grok_interp import CopyTask, Transformer, repeated_tokens, training_preset
        >>> from grok_interp import copying_accuracy, induction_scores, position_losses
        >>> config, samples = training_preset("copier-tiny"), CopyTask.fitting(64, n_samples=2).sample()
        >>> model = Transformer(config.model, seed=0)
        >>> tokens = repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0)
        >>> measured = copying_accuracy(model, samples), position_losses(model, tokens), induction_scores(model, tokens)
        >>> training_curves([(config, *measured)]).dataset.sizes["condition"]
        1
    """
    runs = list(runs)
    if not runs:
        raise ValueError("a comparison needs one run or more")
    _require_match([config for config, *_ in runs], varied)
    cells: dict[tuple[str, int], xr.Dataset] = {}
    tokens: dict[str, int] = {}
    for config, accuracy, loss, induction in runs:
        cell = (condition_of(config, varied), config.init_seed)
        if cell in cells:
            raise ValueError(f"two runs of condition {cell[0]} with init_seed {cell[1]}: give one of them")
        cells[cell], tokens[cell[0]] = _measures(accuracy, loss, induction), config.tokens_per_step
    _require_same_seeds(cells)
    conditions = list(dict.fromkeys(condition for condition, _ in cells))
    rows = [_row(cells, condition) for condition in conditions]
    dataset = _side_by_side(rows, "condition").assign_coords(
        condition=conditions, tokens_per_step=("condition", [tokens[condition] for condition in conditions])
    )
    of_runs = [accuracy.trials for _, accuracy, *_ in runs]
    trials = {measure: min(each[measure] for each in of_runs) for measure in of_runs[0]}
    return TrainingCurves(dataset.assign_attrs(varied=list(varied), chance=runs[0][1].chance, trials=trials))


def curves_of_series(
    accuracy: CopyingAccuracy, loss: PositionLoss | None, induction: InductionScores, *, tokens_per_step: int | None
) -> TrainingCurves:
    """Of one series of checkpoints whose training is not known: one condition, "series".

    Args:
        accuracy: at every checkpoint.
        loss: at the same; NaN in the curves if None.
        induction: at the same.
        tokens_per_step: training tokens for each update; NaN in the curves if None.
    """
    curves = _measures(accuracy, loss, induction).expand_dims(condition=["series"], seed=[0])
    per_step = np.nan if tokens_per_step is None else tokens_per_step
    dataset = curves.assign_coords(tokens_per_step=("condition", [per_step]))
    return TrainingCurves(dataset.assign_attrs(varied=[], chance=accuracy.chance, trials=accuracy.trials))


def condition_of(config: TrainConfig, varied: Sequence[str]) -> str:
    """batch_size=8; several fields are joined, and those that are 0 left out.

    Args:
        config: of a run.
        varied: names of fields, as `config.flattened()` has them.
    """
    values = config.flattened()
    named = [f"{field.rpartition('.')[2]}={values[field]:g}" for field in varied if values[field]]
    return " ".join(named) or NEITHER


def _measures(accuracy: CopyingAccuracy, loss: PositionLoss | None, induction: InductionScores) -> xr.Dataset:
    measures = {
        "exact_match": accuracy.exact_match(),
        "per_token": accuracy.per_token(),
        "loss": xr.full_like(accuracy.per_token(), np.nan) if loss is None else loss.mean(),
        "induction": induction["I"].max(("layer", "head"), skipna=False),
    }
    return xr.Dataset({name: each.astype(float) for name, each in measures.items()})


def _row(cells: Mapping[tuple[str, int], xr.Dataset], condition: str) -> xr.Dataset:
    mine = {seed: curves for (name, seed), curves in sorted(cells.items()) if name == condition}
    return _side_by_side(list(mine.values()), "seed").assign_coords(seed=list(mine))


def _side_by_side(datasets: Sequence[xr.Dataset], dim: str) -> xr.Dataset:
    """NaN where one has no such checkpoint."""
    return xr.concat(datasets, dim, data_vars="all", coords="minimal", compat="override", join="outer")


def _require_match(configs: Sequence[TrainConfig], varied: Sequence[str]) -> None:
    for config in configs[1:]:
        differing: dict[str, tuple[Any, Any]] = configs[0].differences(config)
        others = {field: pair for field, pair in differing.items() if field not in (*varied, *FREE)}
        if others:
            listed = ", ".join(f"{field}: {one!r} and {other!r}" for field, (one, other) in others.items())
            allowed = f"{', '.join(varied)} and " if varied else ""
            raise ValueError(f"these runs may differ in {allowed}their seeds, and differ in {listed}: leave some out")


def _require_same_seeds(cells: Mapping[tuple[str, int], Any]) -> None:
    seeds: dict[str, set[int]] = {}
    for condition, seed in cells:
        seeds.setdefault(condition, set()).add(seed)
    if len({tuple(sorted(each)) for each in seeds.values()}) > 1:
        listed = "; ".join(f"{condition}: {sorted(each)}" for condition, each in seeds.items())
        raise ValueError(
            f"every condition needs runs of the same init_seeds, to start from the same weights, got {listed}: "
            "train those that are missing, or leave the others out"
        )


def final(curve: xr.DataArray, *, fraction: float = 0.1) -> float:
    """The mean over the checkpoints of the last `fraction` of training.

    Args:
        curve: along `checkpoint`.
        fraction: of the last step, between 0 and 1.
    """
    steps = curve["checkpoint"]
    return float(np.mean(curve.to_numpy()[steps.to_numpy() >= (1 - fraction) * float(steps[-1])]))
