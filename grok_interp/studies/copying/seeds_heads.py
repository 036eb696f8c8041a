"""Heads of several seeds, matched by what they do, and what their ablation removes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from grok_interp.analysis.ablation_arguments import named
from grok_interp.plots.page import Section, table_html
from grok_interp.runs.run import Run
from grok_interp.studies.change_points import steps_in_words
from grok_interp.studies.copying.ablation_inputs import circuit_scores
from grok_interp.studies.copying.first_screen import FirstScreen, fraction_in_words

MISSING = "not evaluated"


def heads_of_seeds_section(runs: Sequence[Run], screens: Mapping[int, FirstScreen], *, device: str = "cpu") -> Section:
    """A row for each seed.

    Args:
        runs: that differ in their seeds.
        screens: seed -> what is said of it.
        device: where models run that were not evaluated yet, a torch device.
    """
    ordered = sorted(runs, key=lambda run: run.config.init_seed)
    sizes = screens[ordered[0].config.init_seed].results.accuracy.sizes_in_words
    table = pd.DataFrame([_row(run, screens[run.config.init_seed], device) for run in ordered])
    text = (
        "Heads are matched by function, because a head has another number in each seed. Induction head: the largest "
        "I(L, H) at the last checkpoint; previous-token head: the largest previous-token score in an earlier layer. "
        "Removed: fraction of exact match that mean ablation of the ablated heads removes. Brackets: 95% CI of one "
        f"seed, over its checkpoints (onset) and {sizes}."
    )
    html = f'<div class="wide compact">{table_html(table)}</div>'
    return Section("Heads and ablations, seed by seed", text, html=html, table=table)


def _row(run: Run, screen: FirstScreen, device: str) -> dict[str, str]:
    results, ablation = screen.results, screen.ablation
    layer, head = results.induction.strongest()[0]
    return {
        "seed": str(run.config.init_seed),
        "onset (step)": "none" if np.isnan(screen.onset.value) else steps_in_words(screen.onset),
        "exact match": results.accuracy.exact_match_in_words(),
        "induction head": named([(layer, head)]),
        "I(L, H)": f"{float(results.induction['I'][-1, layer, head]):.2f}",
        **_earlier_head(run, screen, (layer, head), device),
        "ablated": ablation.dataset.attrs["heads"].replace(" ", ", ") if ablation else MISSING,
        "removed": fraction_in_words(ablation.fraction_removed()) if ablation else MISSING,
        "removed, random heads": fraction_in_words(ablation.fraction_removed("random")) if ablation else MISSING,
    }


def _earlier_head(run: Run, screen: FirstScreen, head: tuple[int, int], device: str) -> dict[str, str]:
    """The previous-token head that an induction head may read from."""
    scores = circuit_scores(run, screen.results, device=device).at()
    looks_back = scores["previous_token"].to_numpy()[: head[0]]
    if not looks_back.size or not np.isfinite(looks_back).all():
        return {"previous-token head": "none", "previous-token score": "-", "K-composition": "-"}
    earlier = divmod(int(looks_back.argmax()), looks_back.shape[1])
    return {
        "previous-token head": named([earlier]),
        "previous-token score": f"{looks_back.max():.2f}",
        "K-composition": f"{float(scores['k_composition'][head]):.2f}",
    }
