"""Figures of which heads copy and how, beyond the paper: ablations, edges, contributions, leading scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grok_interp.runs.run import Run
from grok_interp.studies.copying.experiments import BASELINE
from grok_interp.studies.copying.figures import FIGURES

if TYPE_CHECKING:
    from grok_interp.analysis.ablation_arguments import Head
    from grok_interp.plots.drawing import Drawing
    from grok_interp.studies.picture import ShowProgress


def _store_ablations(run: Run, device: str, show: ShowProgress) -> None:
    from grok_interp.studies.copying.ablation_results import ablations

    with show("ablating induction heads") as advance:
        ablations(run, device=device, on_checkpoint=advance)


@FIGURES.of_run(
    "ablation",
    "accuracy after ablation of the induction heads, over training",
    experiment=BASELINE,
    prepare=_store_ablations,
)
def ablation(run: Run, *, heads: Sequence[Head] | None = None, device: str = "cpu") -> Drawing:
    """Copying and loss over training without the induction heads, or without `heads`, in every way.

    Args:
        run: a run on text.
        heads: ablated together, each (layer, head); the induction heads if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.ablation_results import ablations

    return plots.ablation(ablations(run, heads=heads, device=device))


def store_claimed_ablation(run: Run, device: str, show: ShowProgress) -> None:
    """What the first screen of a report says of the induction heads, stored with an analyzed run.

    Args:
        run: a run on text.
        device: where models run, a torch device.
        show: shows the progress.
    """
    from grok_interp.studies.copying.ablation_results import CLAIMED_WAYS, ablations

    with show("ablating induction heads") as advance:
        ablations(run, ways=CLAIMED_WAYS, device=device, on_checkpoint=advance)


@FIGURES.of_run(
    "emergence",
    "copying, induction scores and accuracy after ablation on one step axis",
    experiment=BASELINE,
    prepare=store_claimed_ablation,
)
def emergence(run: Run, *, device: str = "cpu") -> Drawing:
    """When copying emerges, I(L, H) of every head, and exact match without the induction heads.

    Args:
        run: a run on text.
        device: where models run, a torch device.
    """
    from grok_interp.studies.copying.ablation_results import CLAIMED_WAYS, ablations
    from grok_interp.studies.copying.copying_results import analyze
    from grok_interp.studies.copying.first_screen import FirstScreen

    (ablation,) = ablations(run, ways=CLAIMED_WAYS, device=device)
    return FirstScreen(analyze(run, device=device), ablation).drawing


def store_single_ablations(run: Run, device: str, show: ShowProgress) -> None:
    """What is lost without each head of an analyzed run, stored with it.

    Args:
        run: a run on text.
        device: where models run, a torch device.
        show: shows the progress.
    """
    from grok_interp.studies.copying.ablation_results import single_ablations

    with show("ablating each head") as advance:
        single_ablations(run, device=device, on_model=advance)


@FIGURES.of_run(
    "heads",
    "accuracy after ablation of each head alone, against I(L, H)",
    experiment=BASELINE,
    prepare=store_single_ablations,
)
def single_heads(run: Run, *, device: str = "cpu") -> Drawing:
    """What the absence of each head alone costs at the last checkpoint, against its I(L, H), in every way.

    Args:
        run: a run on text.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.ablation_results import single_ablations
    from grok_interp.studies.copying.copying_results import analyze

    return plots.single_heads(single_ablations(run, device=device), analyze(run).induction)


def store_circuit(run: Run, device: str, show: ShowProgress) -> None:
    """The circuit of an analyzed run, chosen and tested; stored with it.

    Args:
        run: a run on text.
        device: where models run, a torch device.
        show: shows the progress.
    """
    from grok_interp.studies.copying.circuit import circuit_of_run

    with show("cutting edges between heads") as advance:
        circuit_of_run(run, device=device, on_checkpoint=advance)


@FIGURES.of_run(
    "edges",
    "accuracy without edges from previous-token to induction heads, over training",
    experiment=BASELINE,
    prepare=store_circuit,
)
def edges(run: Run, *, device: str = "cpu") -> Drawing:
    """Copying over training without the edges of the circuit, beside random edges between the same layers.

    Args:
        run: a run on text.
        device: where models run, a torch device.

    Raises:
        ValueError: for a run in which no edge matters.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.circuit import circuit_of_run

    if (tested := circuit_of_run(run, device=device).tested) is None:
        raise ValueError(f"no edge between heads matters for copying in {run}: there is nothing to draw")
    return plots.edge_ablation(tested)


def _store_attribution(run: Run, device: str, show: ShowProgress) -> None:
    from grok_interp.studies.copying.stored_attribution import attribution_of_run

    with show("attributing logits") as advance:
        attribution_of_run(run, device=device, on_checkpoint=advance)


@FIGURES.of_run(
    "attribution",
    "what each head adds to the logit of the copied token, over training",
    experiment=BASELINE,
    prepare=_store_attribution,
)
def attribution(run: Run, *, device: str = "cpu") -> Drawing:
    """Direct contributions of every head, MLP and the embedding to the logit of the copied token.

    Args:
        run: a run on text.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.stored_attribution import attribution_of_run

    return plots.logit_attribution(attribution_of_run(run, device=device))


def _store_head_scores(run: Run, device: str, show: ShowProgress) -> None:
    from grok_interp.studies.copying.leading_scores import indicators_of_run

    with show("scoring heads") as advance:
        indicators_of_run(run, device=device, on_checkpoint=advance)


@FIGURES.of_runs(
    "leads", "which head score moves before the onset of copying", experiment=BASELINE, prepare=_store_head_scores
)
def leads(*runs: Run, device: str = "cpu") -> Drawing:
    """By how many updates each score of the heads moves before the onset of copying: a dot for each run.

    Args:
        runs: on text, one for each seed.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.leading_scores import leads_of_runs

    return plots.leads(leads_of_runs(runs, device=device))
