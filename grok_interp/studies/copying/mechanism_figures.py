"""Figures beyond the paper: when copying emerges with which heads, which edges carry it, what each head adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grok_interp.runs.run import Run
from grok_interp.studies.copying.experiments import BASELINE
from grok_interp.studies.copying.figures import FIGURES

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing
    from grok_interp.studies.picture import ShowProgress


def store_claimed_ablation(run: Run, device: str, show: ShowProgress) -> None:
    """What the first screen of a report says of the induction heads, stored with an analyzed run."""
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
    """When copying emerges, I(L, H) of every head, and exact match without the induction heads."""
    from grok_interp.studies.copying.first_screen import FirstScreen
    from grok_interp.studies.copying.results import analyze

    return FirstScreen.of_run(run, analyze(run, device=device)).drawing


def store_circuit(run: Run, device: str, show: ShowProgress) -> None:
    """The circuit of an analyzed run, chosen and tested; stored with it."""
    from grok_interp.studies.copying.circuit import circuit_of_run

    with show("cutting edges between heads") as advance:
        circuit_of_run(run, device=device, on_checkpoint=advance)


@FIGURES.of_run(
    "edges",
    "accuracy without the edges between previous-token and induction heads, over training",
    experiment=BASELINE,
    prepare=store_circuit,
)
def edges(run: Run, *, device: str = "cpu") -> Drawing:
    """Copying over training without the edges of the circuit, beside random edges between the same layers.

    Raises ValueError for a run in which no edge matters.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.circuit import circuit_of_run

    if (tested := circuit_of_run(run, device=device).tested) is None:
        raise ValueError(f"no edge between heads matters for copying in {run}: there is nothing to draw")
    return plots.edge_ablation(tested)


def _store_attribution(run: Run, device: str, show: ShowProgress) -> None:
    from grok_interp.studies.copying.attribution import attribution_of_run

    with show("attributing logits") as advance:
        attribution_of_run(run, device=device, on_checkpoint=advance)


@FIGURES.of_run(
    "attribution",
    "what each head adds to the logit of the copied token, over training",
    experiment=BASELINE,
    prepare=_store_attribution,
)
def attribution(run: Run, *, device: str = "cpu") -> Drawing:
    """Direct contributions of every head, MLP and the embedding to the logit of the copied token."""
    from grok_interp import plots
    from grok_interp.studies.copying.attribution import attribution_of_run

    return plots.logit_attribution(attribution_of_run(run, device=device))
