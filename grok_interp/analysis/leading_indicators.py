"""Leading indicators: which score of the heads begins to move before the onset of an ability, and by how many updates?

    lead(score, seed) = onset of the ability - onset of the score, in updates; above 0 where the score moves first

Both onsets are change points (`emergence`) of curves over the checkpoints of one run, so leads are paired by seed. Two
curves of a score are followed:

    strongest   of the head with the largest value at the last checkpoint: the head that matters at the end. It is
                chosen in each seed, and its name is kept.
    median      over all heads; heads whose score never changes, as K-composition in layer 0, are left out

The head is chosen with hindsight, so a lead describes how the final heads came about; it is no prediction. A score
without a rise has no onset, and the lead is NaN; such seeds are counted, not averaged. Intervals are 95% t-intervals
over the seeds that have a lead.

The scores that are followed by default are previous_token, k_composition and prefix_matching of `HEAD_SCORES`, and

    weight_norm   sqrt(|W_Q|^2 + |W_K|^2 + |W_V|^2 + |W_O|^2) of a head, Frobenius norms; 0 or more
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.checkpoints_of import EACH_HEAD, Checkpoints, checkpoints_of
from grok_interp.analysis.effects_over_seeds import Effect, mean_effect
from grok_interp.analysis.emergence import Emergence, emergence
from grok_interp.analysis.head_scores import HeadScores, head_scores
from grok_interp.analysis.head_weights import weight_norms
from grok_interp.arguments import checked, require_level
from grok_interp.counted import counted
from grok_interp.data.token_rows import Tokens
from grok_interp.models.processing import require_same_processing
from grok_interp.results.order import joined
from grok_interp.results.result import Measure, Result

OF_ATTENTION = ("previous_token", "k_composition", "prefix_matching")
WEIGHT_NORM = "weight_norm"
STRONGEST, MEDIAN = FOLLOWED = ("strongest", "median")


class LeadingIndicators(Result):
    """By how many updates each score's onset is before that of the ability, by seed; NaN where there is none.

    Beside it the `onset` of each score and the `outcome` of its curve (rises, falls, flat, cannot tell), the `head`
    that is followed ("" for the median), and the `ability_onset` of each seed.
    """

    name = "lead"
    dims = ("score", "followed", "seed")
    measures: ClassVar = {
        "lead": Measure("lead over the onset of the ability", "updates"),
        "onset": Measure("onset of the score", "updates"),
        "outcome": Measure("outcome", ""),
        "head": Measure("head", ""),
        "ability_onset": Measure("onset of the ability", "updates", ("seed",)),
    }

    @checked
    def effect(self, score: str, followed: str = STRONGEST, *, level: float = 0.95) -> Effect:
        """The mean lead over the seeds that have one, in updates, with its t-interval.

        Args:
            score: a head score.
            followed: "strongest" for the head strongest at the end, "median" for all heads.
            level: of confidence, between 0 and 1.

        Raises:
            ValueError: for a level outside (0, 1).
        """
        leads = self["lead"].sel(score=score, followed=followed).to_numpy()
        return mean_effect(leads[np.isfinite(leads)], level=level)

    def summary(self) -> pd.DataFrame:
        """One row per score and followed curve: mean lead with its 95% interval (updates), and how many seeds have one.

        Seeds that all agree have no interval.

        `first` counts the seeds in which the score moves first, `no_rise` those in which it has no rise, `no_ability`
        those in which the ability has no onset. `heads` names the head followed in each seed, in order.
        """
        no_ability = int(self["ability_onset"].isnull().sum())
        rows = []
        for score in self.dataset["score"].values.tolist():
            for followed in self.dataset["followed"].values.tolist():
                cell, found = self.dataset.sel(score=score, followed=followed), self.effect(score, followed)
                rows.append(
                    {
                        "score": score,
                        "followed": followed,
                        "lead": found.value,
                        "low": np.nan if found.agreement else found.low,
                        "high": np.nan if found.agreement else found.high,
                        "seeds": found.n_runs,
                        "first": int((cell["lead"] > 0).sum()),
                        "no_rise": int((cell["outcome"] != "rises").sum()),
                        "no_ability": no_ability,
                        "heads": " ".join(cell["head"].values.tolist()).strip(),
                    }
                )
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        of_strongest = self.summary().query("followed == @STRONGEST")
        shown = [
            f"{row.score} {self.effect(str(row.score))}{' updates' * bool(row.seeds)} in {row.seeds} of "
            f"{counted(self.dataset.sizes['seed'], 'seed')}"
            for row in of_strongest.itertuples()
        ]
        return f"lead of the strongest head's score over the onset, mean and 95% CI over seeds: {'; '.join(shown)}"


@checked
def leading_indicators(
    scores: Sequence[HeadScores],
    ability: Sequence[xr.DataArray],
    *,
    seeds: Sequence[int] | None = None,
    chance: float | None = None,
    margin: float | None = None,
    level: float = 0.95,
    trials: float | int | None = None,
) -> LeadingIndicators:
    """Lead of each head score over the onset of an ability, in updates, for each seed.

    Args:
        scores: of each seed, from `indicator_scores` or `head_scores`; the same scores in all.
        ability: of each seed, a curve over `checkpoint`, such as the per-token copying accuracy. Its checkpoints may
            differ from those of the scores; 8 or more of each.
        seeds: their names; 0, 1, ... if not given.
        chance: of the ability, as in `emergence`.
        margin: above chance, as in `emergence`.
        level: confidence level of each change point, between 0 and 1; the test of a flat curve has size 1 - level.
        trials: of the ability, as in `emergence`.

    Returns:
        Updates, with dims (score, followed, seed).

    Raises:
        ValueError: for no seed, for other numbers of scores and curves, for seeds with different scores, and as
            `emergence` does.

    Example:
        >>> steps = np.arange(0, 4000, 100)
        >>> rise = xr.DataArray(np.clip((steps - 1000) / 500, 0, 1), {"checkpoint": steps}, ["checkpoint"])
        >>> curves = rise.expand_dims(layer=[0], head=[0]).transpose(*HeadScores.dims)
        >>> copying = rise.assign_coords(checkpoint=steps + 600)
        >>> found = leading_indicators([HeadScores(xr.Dataset({"prefix_matching": curves}))], [copying])
        >>> round(float(found.effect("prefix_matching").value), 6)
        600.0
    """
    require_level(level)
    seeds = list(range(len(scores))) if seeds is None else list(seeds)
    names = _require_match(scores, ability, seeds)
    onsets = [_onset(emergence(curve, chance=chance, margin=margin, level=level, trials=trials)) for curve in ability]
    found = [[_followed(each[name], level) for each in scores] for name in names]  # score x seed x followed
    values, outcomes, heads = (
        np.array([[[curve[at] for curve in of_seed] for of_seed in of_score] for of_score in found]).swapaxes(1, 2)
        for at in range(3)
    )
    arrays = {
        "lead": np.array(onsets) - values.astype(float),
        "onset": values.astype(float),
        "outcome": outcomes,
        "head": heads,
        "ability_onset": onsets,
    }
    coords = {"score": names, "followed": list(FOLLOWED), "seed": seeds}
    return LeadingIndicators.of_arrays(arrays, coords, {"level": level, "chance": chance, "margin": margin})


@checked
def indicator_scores(checkpoints: Checkpoints, tokens: Tokens, *, batch_size: int = 16) -> HeadScores:
    """The scores that are followed by default, of every head at every checkpoint.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        tokens: token indices in which tokens come again, batch x pos, from `repeated_tokens`.
        batch_size: sequences per forward pass; changes memory, never the result.

    Returns:
        previous_token, k_composition and prefix_matching as in `head_scores`, and weight_norm, which has no value at
        chance (None).

    Raises:
        ValueError: as `head_scores` does.

    Example:
        >>> from grok_interp import Transformer, llama_copier, repeated_tokens
        >>> model = Transformer(llama_copier(n_layers=2, n_heads=2, d_model=8, d_mlp=8, d_vocab=64, n_ctx=32), seed=0)
        >>> tokens = repeated_tokens(n_sequences=5, half=16, alphabet=range(64), seed=0)
        >>> indicator_scores(model, tokens)["weight_norm"].shape
        (1, 2, 2)
    """
    parts, processing = [], None
    for step, model in checkpoints_of(checkpoints, same=EACH_HEAD):
        processing = require_same_processing(processing, model, step)
        found = head_scores([(step, model)], tokens, scores=OF_ATTENTION, batch_size=batch_size).dataset
        chance = {**found.attrs["chance"], WEIGHT_NORM: None}
        norms = (HeadScores.dims, weight_norms(model)[None].numpy())
        parts.append(found.assign({WEIGHT_NORM: norms}).assign_attrs(chance=chance, processing=str(processing)))
    return HeadScores(joined(parts))


def _followed(curves: xr.DataArray, level: float) -> list[tuple[float, str, str]]:
    """Onset, outcome and head, of each of `FOLLOWED`."""
    curves = curves.where(abs(curves) < np.inf).dropna("checkpoint")
    layer, head = np.unravel_index(int(curves.isel(checkpoint=-1).to_numpy().argmax()), curves.shape[1:])
    changing = curves.stack(place=("layer", "head"))
    changing = changing.isel(place=np.flatnonzero(np.ptp(changing.to_numpy(), axis=0) > 0))
    median = changing.median("place") if changing.size else curves.isel(layer=0, head=0)
    both = [(curves.isel(layer=int(layer), head=int(head)), named([(int(layer), int(head))])), (median, "")]
    found = [
        (emergence(curve.drop_vars(["layer", "head"], errors="ignore"), level=level), name) for curve, name in both
    ]
    return [(_onset(each), _outcome(each), name) for each, name in found]


def _onset(found: Emergence) -> float:
    return found.onset.value if found.rises else np.nan


def _outcome(found: Emergence) -> str:
    return "rises" if found.rises else "falls" if found.emerged else found.outcome


def _require_match(scores: Sequence[HeadScores], ability: Sequence[xr.DataArray], seeds: Sequence[int]) -> list[str]:
    """The names of the scores."""
    if not scores or not len(scores) == len(ability) == len(seeds):
        raise ValueError(
            f"leading_indicators needs the scores, the curve and the name of each seed, got {len(scores)} scores, "
            f"{len(ability)} curves and {counted(len(seeds), 'seed')}"
        )
    names = [list(map(str, each.dataset.data_vars)) for each in scores]
    if any(each != names[0] for each in names):
        raise ValueError(f"all seeds need the same scores, got {names}")
    return names[0]
