"""The report's sections on heads: their scores, the order in which they form, their attention."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from grok_interp.analysis.attention import AttentionMaps
from grok_interp.analysis.formation import FormationOrder
from grok_interp.configs.schedules import spread_steps
from grok_interp.counted import over
from grok_interp.plots.attention import attention_view
from grok_interp.plots.page import Section
from grok_interp.plots.pictures.formation import formation
from grok_interp.plots.pictures.head_map import induction_map
from grok_interp.runs.run import Run
from grok_interp.studies.attention import stored_attention
from grok_interp.studies.copying.copying_results import CopyingResults
from grok_interp.studies.copying.example_section import Show

HEADS_SHOWN, STEPS_SHOWN = 16, 12  # of the attention view


def head_map_section(results: CopyingResults) -> Section:
    """I(L, H) of every head, over training."""
    text = (
        "I(L, H) = Abar × EP. Abar: mean attention from each token of a repeated random sequence to the token after "
        "its first occurrence. EP: eigenvalue positivity of the OV circuit W_E W_V W_O W_U, 1 for a head that copies. "
        "The slider at the bottom of the page moves through training. "
        f"{_sequences(results)}"
    )
    drawing, table = induction_map(results.induction), results.induction.to_frame()
    return Section("Induction score of every head", text, drawing, table=table)


def formation_section(results: CopyingResults, order: FormationOrder) -> Section:
    """I(L, H) over training, and the order in which heads pass the threshold."""
    text = f"{order}. Kendall's tau of depth and onset: {order.depth_order()}."
    drawing, caption = formation([(results.induction, order)]), f"Compare Figure 6 of the paper. {_sequences(results)}"
    return Section("Order in which heads form", text, drawing, caption, table=order.to_frame(), file="formation")


def _sequences(results: CopyingResults) -> str:
    """What the scores of one run are means of; they have no interval."""
    n_sequences = over(results.induction.dataset.attrs.get("n_sequences"), "random sequence")
    return f"Abar: mean{n_sequences}, without an interval; 1 seed."


def attention_of(
    run: Run, results: CopyingResults, tokens: Tensor, *, device: str
) -> Iterator[tuple[int, AttentionMaps]]:
    """Of the strongest heads at steps spread over training, stored with the run."""
    heads, steps = results.induction.strongest(HEADS_SHOWN), spread_steps(results.steps, STEPS_SHOWN)
    return stored_attention(run, tokens, heads=heads, steps=steps, device=device)


def attention_section(run: Run, results: CopyingResults, shown: tuple[Tensor, str], show: Show, device: str) -> Section:
    """Attention patterns on the prompt that is shown, at steps spread over training."""
    tokens, text = shown
    heads = results.induction.strongest(HEADS_SHOWN)
    view = attention_view(
        attention_of(run, results, tokens, device=device),
        tokens,
        names=show,
        heads=heads,
        scores=results.induction["I"].isel(checkpoint=-1),
        score_name=f"I(L, H) at step {results.steps[-1]:,}",
    )
    text = f"{text} Choose a head, and move the slider through training."
    return Section("Attention of the strongest heads", text, html=view.html())
