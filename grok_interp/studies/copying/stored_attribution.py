"""What each head of a run adds to the logit of the copied token, at checkpoints spread over training.

The result is stored with the run.
"""

from __future__ import annotations

from collections.abc import Callable

from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.logit_attribution import LogitAttribution, direct_logit_attribution
from grok_interp.configs.schedules import spread_steps
from grok_interp.counted import counted, over
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel
from grok_interp.plots.page import Section
from grok_interp.plots.pictures.logit_attribution import logit_attribution
from grok_interp.results.analyzer import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.copying.copying_results import evaluation_inputs, rows_at_once, samples_description

N_CHECKPOINTS = 24
TITLE, MOST_NAMED = "What each head adds to the logit", 3


def attribution_of_run(
    run: Run, *, device: str = "cpu", on_checkpoint: Callable[[int, int], None] | None = None
) -> LogitAttribution:
    """`direct_logit_attribution` of a run on its copying test.

    Args:
        run: a run on text.
        device: where models run, a torch device.
        on_checkpoint: called with (checkpoints done, checkpoints to do).
    """
    analyzer = _analyzer(evaluation_inputs(run).samples)
    steps = spread_steps(run.steps, N_CHECKPOINTS)
    (found,) = run.evaluate([analyzer], steps=steps, device=device, on_checkpoint=on_checkpoint)
    return found


def _analyzer(samples: CopySamples) -> Analyzer[LogitAttribution]:
    def evaluate(step: int, model: HookedModel) -> LogitAttribution:
        batch_size = rows_at_once(model, samples.task.n_tokens, most=64)
        return direct_logit_attribution([(step, model)], samples, batch_size=batch_size)

    return Analyzer(LogitAttribution.name, LogitAttribution, samples_description(samples), evaluate)


def attribution_sections(run: Run) -> list[Section]:
    """The section of the report; none where the result is not stored."""
    if not run.results.has(LogitAttribution.name):
        return []
    analyzer = _analyzer(evaluation_inputs(run).samples)
    if run.results.missing(analyzer, run.checkpoints, spread_steps(run.steps, N_CHECKPOINTS)):
        return []
    found = attribution_of_run(run)
    caption = (
        "The lines sum to the total logit, which is the logit of the expected token minus the mean logit over tokens. "
        f"Evaluated at {found.dataset.sizes['checkpoint']} of {counted(len(run), 'checkpoint')}. "
        f"Bands: 95% CI{over(found.dataset.attrs.get('n_samples'), 'sample')}; 1 seed."
    )
    drawing = logit_attribution(found)
    return [Section(TITLE, attribution_text(found), drawing, caption, table=found.to_frame(), file="attribution")]


def attribution_text(found: LogitAttribution) -> str:
    """What is seen at the last checkpoint, in words."""
    last, step = found.at(), int(found.dataset["checkpoint"][-1])
    heads = ", ".join(
        f"{named([head])} {_in_words(*(float(last[name][head]) for name in _ends('contribution')))}"
        for head in found.strongest(MOST_NAMED)
    )
    whole = _in_words(*(float(last[name]) for name in _ends("logit")))
    return (
        "Direct logit attribution: how much each head adds directly to the logit of the copied token, without its "
        f"effect through later layers. At step {step:,} the total logit is {whole}; the largest contributions: {heads} "
        f"(95% CIs{over(found.dataset.attrs.get('n_samples'), 'sample')})."
    )


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _in_words(value: float, low: float, high: float) -> str:
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
