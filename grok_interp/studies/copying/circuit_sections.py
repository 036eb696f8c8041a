"""The report's sections on the circuit: what it is, how it was tested, and copying over training without its edges."""

from __future__ import annotations

from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.ablation_samples import cis_over_samples, in_words
from grok_interp.analysis.edge_ablation import EdgeAblation
from grok_interp.counted import counted, over
from grok_interp.plots.page import Section
from grok_interp.plots.pictures.circuit import circuit as drawn_circuit
from grok_interp.plots.pictures.edge_ablation import edge_ablation
from grok_interp.runs.run import Run
from grok_interp.studies.copying.circuit import CIRCUIT, MEASURE, Circuit, stored_circuit

TITLE, OVER_TRAINING = "The mechanism", "Copying without the circuit's edges"


def circuit_sections(run: Run) -> list[Section]:
    """The circuit and its test; the command that evaluates it where it is not stored."""
    if (found := stored_circuit(run)) is None:
        command = f"grok-interp reproduce copying/edges --run {run}"
        return [Section(TITLE, f"Not evaluated at these checkpoints. To evaluate it: {command}")]
    return [circuit_section(found, run), *([_over_training(found.tested, run)] if found.tested else [])]


def circuit_section(found: Circuit, run: Run) -> Section:
    """The circuit, drawn where its edges matter more than random ones."""
    table = found.candidates.to_frame() if found.candidates else None
    if not found.is_found:
        return Section(f"{TITLE}: no circuit found", circuit_text(found), table=table)
    drawing = drawn_circuit(found.chosen, n_layers=run.model.n_layers, n_heads=run.model.n_heads)
    caption = (
        "A previous-token head writes, at each position, which token came before; an induction head compares its own "
        "token with that and copies what it finds there. Other paths are not tested."
    )
    return Section(TITLE, circuit_text(found), drawing, caption, table=table, file="circuit")


def circuit_text(found: Circuit) -> str:
    """How the edges were chosen, and what was found, in words."""
    if found.candidates is None:
        return "The strongest induction head is in the first layer: there is no earlier head that it could read from."
    n = found.candidates.dataset.sizes["group"]
    text = (
        f"{counted(n, 'candidate edge')}: into the keys of the induction heads, from the earlier heads with the "
        "largest previous-token score. On one half of the samples each edge is cut alone, at the last checkpoint; the "
        "circuit is the edges whose cut lowers per-token accuracy"
        f"{cis_over_samples(found.candidates.dataset.attrs)}."
    )
    if found.tested is None:
        return f"{text} There is none: no circuit is drawn."
    edges = ", ".join(_edge_in_words(found, number) for number in range(len(found.chosen)))
    return f"{text} They are {edges}. {_test_in_words(found, found.tested)}"


def _edge_in_words(found: Circuit, number: int) -> str:
    edge, last = found.chosen[number], found.scores.at()
    looks_back = float(last["previous_token"][edge.sender])
    composed = float(last["k_composition"][edge.receiver])
    return (
        f"{named([edge.sender])} (previous-token score {looks_back:.2f}) to {named([edge.receiver])} (K-composition "
        f"with the strongest previous-token head before it {composed:.2f})"
    )


def _test_in_words(found: Circuit, tested: EdgeAblation) -> str:
    groups = tested.dataset["group"].values.tolist()
    effects = [_effect(tested, group) for group in groups]
    whole = in_words(MEASURE, float(tested[f"{MEASURE}_intact"][-1]), float("nan"), float("nan"))
    text = (
        f"On the other half{cis_over_samples(tested.dataset.attrs)}, per-token accuracy is {whole} at the last "
        f"checkpoint; cutting these edges together changes it by {effects[0]}"
    )
    if len(groups) == 1:
        return f"{text}. There are no other edges between these layers as controls: no circuit is drawn."
    text += f", cutting as many random edges between the same layers by {', '.join(effects[1:])}."
    return text if found.is_found else f"{text} The intervals overlap: no circuit is drawn."


def _effect(tested: EdgeAblation, group: str) -> str:
    ends = (tested.effect(MEASURE), *tested.effect_interval(MEASURE))
    value, low, high = (100 * float(end[-1].sel(group=group)) for end in ends)
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}] percentage points"


def _over_training(tested: EdgeAblation, run: Run) -> Section:
    text = (
        f"Path patching over training: accuracy without {CIRCUIT}, which were chosen at the last checkpoint, and "
        "without random edges between the same layers."
    )
    caption = (
        f"Evaluated at {tested.dataset.sizes['checkpoint']} of {counted(len(run), 'checkpoint')}. Bands: "
        f"95% CI{over(tested.dataset.attrs.get('n_samples'), 'sample')}, the half not used to choose the edges; 1 seed."
    )
    return Section(OVER_TRAINING, text, edge_ablation(tested), caption, table=tested.to_frame(), file="edges")
