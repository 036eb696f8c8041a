"""The sections of a report on what is left without some heads; every number in their texts is a result's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grok_interp.analysis.ablated_model import named
from grok_interp.analysis.ablation import CONTROLS, HeadAblation
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.single_ablation import SingleAblation
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.plots.page import Section
from grok_interp.plots.pictures.ablation import ablation
from grok_interp.plots.pictures.single_heads import single_heads
from grok_interp.studies.copying.ablation import ablations, are_known, single_ablations
from grok_interp.studies.copying.ablation_probes import AblationProbes, ablation_probes, formed_heads
from grok_interp.studies.copying.results import FORMED, analyzed

MATTERS = 0.02  # share of suffixes: with 500 of them some three standard errors of a share near 0
WITHOUT_HEADS, WITHOUT_EACH = "Without the induction heads", "Without each head alone"
ONE_HEAD = "Not measured: with one head in a layer there is no other to be its control."


def ablation_section(directory: Path) -> Section:
    """Copying and loss over training without the induction heads, beside controls."""
    if _has_one_head(directory):
        return Section(WITHOUT_HEADS, ONE_HEAD)
    results, probes = ablations(directory), ablation_probes(directory, analyzed(directory))
    caption = (
        "zero: the heads write nothing but the constant of their biases, if any; mean: their mean over held-out text; "
        "resample: what they write on another text; edges: only their attention to what followed the last "
        f"{probes.n_match} tokens before is cut. The same heads are taken away at every step."
    )
    table = pd.concat([each.to_frame().assign(how=each.array.attrs["how"]) for each in results])
    return Section(WITHOUT_HEADS, ablation_text(results, probes), ablation(results), caption, table=table)


def single_heads_section(directory: Path) -> Section:
    """Whether I(L, H) finds the heads that matter."""
    if _has_one_head(directory):
        return Section(WITHOUT_EACH, ONE_HEAD)
    results, induction = single_ablations(directory), analyzed(directory).induction
    table = pd.concat([each.to_frame().assign(how=each.array.attrs["how"]) for each in results])
    text, caption = single_heads_text(results, induction), "A dot is a head, a color a layer."
    return Section(WITHOUT_EACH, text, single_heads(results, induction), caption, table=table)


def known_sections(directory: Path) -> list[Section]:
    """Both sections, of what has been measured: an ablation takes longer than a report, and waits for its command."""
    one_head = _has_one_head(directory)
    each, together = (one_head or are_known(directory, name) for name in ("single_heads", "ablation"))
    return [
        single_heads_section(directory) if each else _missing(WITHOUT_EACH, "copying/heads", directory),
        ablation_section(directory) if together else _missing(WITHOUT_HEADS, "copying/ablation", directory),
    ]


def _missing(title: str, figure: str, directory: Path) -> Section:
    command = f"grok-interp reproduce {figure} --run {directory}"
    return Section(title, f"Not measured for these checkpoints. The command that does it: {command}")


def ablation_text(results: Sequence[HeadAblation], probes: AblationProbes) -> str:
    """What was found, in words."""
    step, intact = int(results[0].array["checkpoint"][-1]), results[0].array.sel(condition="intact").mean("draw")
    return " ".join(
        [
            _choice(probes),
            f"At step {step:,} the model copies {float(intact.sel(measure='whole')[-1]):.1%} of the suffixes whole.",
            *_left(results, "whole", ".1%"),
            _onsets(results),
            f"The loss on held-out text is {float(intact.sel(measure='loss')[-1]):.2f} nats.",
            *_left(results, "loss", ".2f"),
            _controls(results, probes),
        ]
    )


def _left(results: Sequence[HeadAblation], measure: str, form: str) -> list[str]:
    """A sentence for each condition but intact, on the last checkpoint."""
    conditions = {
        "ablated": f"Without {results[0].array.attrs['heads']}",
        "random": "Without as many random heads of the same layers",
        "entropy": "Without the heads of the nearest attention entropy",
    }
    if _is_one_control(results):
        del conditions["entropy"]
    last = {result.array.attrs["how"]: result.array.sel(measure=measure)[-1].mean("draw") for result in results}
    return [
        f"{words}: {_each_way({how: f'{float(array.sel(condition=name)):{form}}' for how, array in last.items()})}."
        for name, words in conditions.items()
    ]


def single_heads_text(results: Sequence[SingleAblation], induction: InductionScores) -> str:
    """Which heads matter, way by way, and which of them the score finds."""
    scores, formed = induction.I.isel(checkpoint=-1), formed_heads(induction)
    found = ", ".join(f"{named([head])} ({float(scores[head]):.2f})" for head in formed) or "no head"
    left = "; ".join(f"{result.array.attrs['how']}: {_heads_that_matter(result)}" for result in results)
    return (
        f"I(L,H) is above {FORMED:g} at the last step in {found}. Heads without which more than {MATTERS:.0%} of the "
        f"suffixes are lost, and what is left of {float(results[0].at().sel(measure='whole')['intact']):.1%}: {left}. "
        "I(L,H) is made to find heads that copy what followed the same token before; the heads that these read from "
        "have an I of about 0 and may matter as much."
    )


def _heads_that_matter(result: SingleAblation) -> str:
    left, cost = result.at().sel(measure="whole"), -result.effect().sel(measure="whole").isel(checkpoint=-1)
    heads = [head for head in result.costliest() if float(cost[head]) > MATTERS]
    return ", ".join(f"{named([head])} {float(left[head]):.1%}" for head in heads) or "none"


def _choice(probes: AblationProbes) -> str:
    text = f"Taken away: {named(probes.heads)}, of the largest I(L,H) at the last step."
    if not probes.formed:
        text += f" It is not above {FORMED:g}: no induction head has formed."
    if left_in := [head for head in probes.formed if head not in probes.heads]:
        text += f" Left in, lest their layers have no control: {named(left_in)}."
    if probes.spared:
        text += f" Never a control, being of the same circuit: {named(probes.spared)}."
    return text


def _onsets(results: Sequence[HeadAblation]) -> str:
    """From which step on the heads matter."""
    whole = results[0].array.sel(measure="whole", condition="intact").isel(draw=0)
    copied = whole["checkpoint"].to_numpy()[whole.to_numpy() > MATTERS]
    onsets = {result.array.attrs["how"]: _onset(result) for result in results}
    return (
        f"Of the steps looked at, the first at which more than {MATTERS:.0%} of the suffixes are copied: "
        f"{f'{copied[0]:,}' if len(copied) else 'none'}; at which the heads taken away cost {MATTERS:.0%} more than "
        f"every control: {_each_way(onsets)}."
    )


def _onset(result: HeadAblation) -> str:
    onset = result.onset(threshold=MATTERS)
    if not np.isfinite(onset):
        return "none"
    whole = result.array.sel(measure="whole", checkpoint=slice(onset, None))
    margin = whole.sel(condition=CONTROLS).min(("condition", "draw")) - whole.sel(condition="ablated").max("draw")
    return f"{onset:,.0f} {'and all later' if bool((margin > MATTERS).all()) else 'but not all later'}"


def _controls(results: Sequence[HeadAblation], probes: AblationProbes) -> str:
    text = f"Of the random heads {probes.n_draws} sets were drawn."
    if probes.n_draws == 1:
        text = f"The layers leave one set of random heads only, {_control(results[0], 'random')}."
    if _is_one_control(results):
        text += " At the last step it is also the nearest in entropy: there the two controls are one."
    return text


def _is_one_control(results: Sequence[HeadAblation]) -> bool:
    return _control(results[0], "random") == _control(results[0], "entropy")


def _control(result: HeadAblation, name: str) -> str:
    """The heads of a control at the last checkpoint, in all draws."""
    draws = result.array["heads"].isel(checkpoint=-1).sel(condition=name).to_numpy().tolist()
    return " or ".join(dict.fromkeys(draws))


def _each_way(values: dict[str, str]) -> str:
    if len(set(values.values())) == 1:
        return f"{next(iter(values.values()))} ({', '.join(values)})"
    return ", ".join(f"{value} ({how})" for how, value in values.items())


def _has_one_head(directory: Path) -> bool:
    return CheckpointSeries(directory).config.model.n_heads == 1
