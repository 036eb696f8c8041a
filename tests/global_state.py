"""A program that calls every public function and prints, as JSON, which of them change what all its parts share.

`test_global_state.py` runs it in a process of its own: beartype, which checks types in all tests, draws from Python's
random state.
"""

from __future__ import annotations

import inspect
import json
import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.graph_objects
import plotly.io
import torch
import xarray as xr
from ground_truth import CIRCUIT, MODULAR, distinct_copy_samples, random_model, repeated_distinct_tokens
from training_truth import curves_of_runs

import grok_interp
from grok_interp import CheckpointSeries, CopyTask, ModularConfig, ModularTasks, Run, Transformer
from grok_interp.cli.output import Output
from grok_interp.configs import TrainConfig
from grok_interp.plots import on_paper, on_screen, save_figure
from grok_interp.presets import training_preset
from grok_interp.runs.hub_push import Revisions
from grok_interp.studies import copying, modular
from grok_interp.studies.copying.study import COPYING

FUNCTIONS = {name for name in grok_interp.__all__ if inspect.isfunction(getattr(grok_interp, name))}
MODEL, NUMBERS = random_model(CIRCUIT), random_model(MODULAR)
MODELS, NUMBER_MODELS = (
    [(0, MODEL), (9, random_model(CIRCUIT, seed=1))],
    [(0, NUMBERS), (9, random_model(MODULAR, seed=1))],
)
P = 5
SIZES = {"n_layers": 1, "n_heads": 2, "d_model": 8}
PUBLISHED = (
    "noembdFalse_paraleTrue_pltask384_rope_decoder_p29_base29_row32_ntask384_nvar2_dsplitTrue_dfrac80.0_relu_n512_h4_d4"
    "_lctx512_I1_dI0_adamw_bs1536_t200000_T200000_Tw10000_lr1.50e-04_wd2.00e+00.pth"
)
Call = Callable[[], object]


def shared_state() -> dict[str, Any]:
    """What all of a program's parts share, by name."""
    numpy_state = np.random.get_state(legacy=False)
    return {
        "torch's random state": torch.random.get_rng_state().tolist(),
        "NumPy's random state": repr(numpy_state),
        "Python's random state": random.getstate(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "determinism": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "precision": (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
        "warnings filters": list(warnings.filters),
        "rcParams": dict(mpl.rcParams),
        "NumPy's errors and printing": (np.geterr(), np.get_printoptions()),
        "xarray's options": dict(xr.get_options()),
        "pandas' options": [pd.get_option(name) for name in ("display.max_rows", "display.precision")],
        "plotly's template": plotly.io.templates.default,
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "logging": (logging.root.level, list(logging.root.handlers)),
    }


def changed(call: Call) -> list[str]:
    before = shared_state()
    call()
    after = shared_state()
    return [name for name in before if before[name] != after[name]]


def of_analyzers() -> dict[str, Call]:
    tokens, samples = repeated_distinct_tokens(), distinct_copy_samples()
    slots = grok_interp.slot_sequences((2, 3), P, slot=3, n_examples=4, seed=0)
    tasks = ModularTasks.draw(ModularConfig(p=P, n_id=4, alpha=0.6))
    where: dict[str, Any] = {"p": P, "tokens": slots, "slot": 3, "layer": 1}
    circle = grok_interp.circle_pca(NUMBER_MODELS, **where, head=0)
    similar = grok_interp.cosine_similarity(NUMBER_MODELS, **where, position="y")
    contexts: dict[str, Any] = {"n_contexts": 4, "seed": 0}
    draws: dict[str, Any] = {"how": "resample", "n_draws": 2, "seed": 0, "reference": tokens}
    return {
        "ablated": lambda: grok_interp.ablated(MODEL, [(0, 1)], "resample", reference=tokens, seed=3),
        "algorithm_agreement": lambda: grok_interp.algorithm_agreement(NUMBER_MODELS, tasks, **contexts),
        "attention_maps": lambda: grok_interp.attention_maps(MODEL, tokens[:1]),
        "attention_view": lambda: grok_interp.attention_view(
            MODEL, tokens[0], names=lambda row: list(map(str, row))
        ).page(),
        "circle_pca": lambda: grok_interp.circle_pca(NUMBER_MODELS, **where, head=0),
        "circularity": lambda: grok_interp.circularity(circle, seed=0, n_shuffles=20),
        "copying_accuracy": lambda: grok_interp.copying_accuracy(MODELS, samples),
        "cosine_similarity": lambda: grok_interp.cosine_similarity(NUMBER_MODELS, **where, position="y"),
        "direct_logit_attribution": lambda: grok_interp.direct_logit_attribution(MODELS, samples),
        "embedding_pca": lambda: grok_interp.embedding_pca(NUMBER_MODELS, P),
        "fourier_losses": lambda: grok_interp.fourier_losses(
            NUMBER_MODELS, P, slots, group="additive", frequencies=[1]
        ),
        "fourier_spectrum": lambda: grok_interp.fourier_spectrum(NUMBER_MODELS, P),
        "grid_comparison": lambda: grok_interp.grid_comparison(NUMBERS, P, (2, 1), slots[0, :2][None]),
        "grid_comparisons": lambda: grok_interp.grid_comparisons(NUMBERS, P, (2, 1), slots[:1, :2], shots=[1]),
        "head_ablation": lambda: grok_interp.head_ablation(MODELS, samples, tokens, heads=[(1, 0)], **draws),
        "head_scores": lambda: grok_interp.head_scores(MODELS, tokens),
        "indicator_scores": lambda: grok_interp.indicator_scores(MODELS, tokens),
        "induction_scores": lambda: grok_interp.induction_scores(MODELS, tokens),
        "kaleidoscope": lambda: grok_interp.kaleidoscope(similar, seed=0, n_shuffles=20),
        "mlp_activations": lambda: grok_interp.mlp_activations(NUMBER_MODELS, **where, position="y"),
        "natural_copying": lambda: grok_interp.natural_copying(MODELS, tokens, n=2),
        "position_losses": lambda: grok_interp.position_losses(MODELS, tokens),
        "shot_curve": lambda: grok_interp.shot_curve(NUMBER_MODELS, tasks, **contexts, noise=0.2),
        "top_frequency_fraction": lambda: grok_interp.top_frequency_fraction(NUMBER_MODELS, P, n_key=1, seed=0),
    }


def of_results(run: Run, numbers: Run) -> dict[str, Call]:
    results = copying.analyze(run)
    shots = modular.analyze(numbers, modular.evaluation_inputs(numbers, n_contexts=5)).shots
    scores = [
        grok_interp.indicator_scores([(int(s), MODEL) for s in range(0, 1000, 100)], repeated_distinct_tokens(half=9))
        for _ in "12"
    ]
    curve = curves_of_runs({("a", 0): (1000.0, 0.9)}).of("exact_match", "a").isel(seed=0)
    abilities = [curve.sel(checkpoint=range(0, 1000, 100))] * 2
    drawing = grok_interp.draw(results.induction)
    return {
        "copying_diagram": lambda: grok_interp.copying_diagram([(run.config, results.accuracy)]),
        "draw": lambda: grok_interp.draw(results.induction),
        "emergence": lambda: grok_interp.emergence(curve),
        "formation_order": lambda: grok_interp.formation_order(results.induction, threshold=0.5),
        "leading_indicators": lambda: grok_interp.leading_indicators(scores, abilities),
        "on_paper": lambda: on_paper(drawing),
        "on_screen": lambda: on_screen(drawing),
        "phase": lambda: grok_interp.phase(
            dict.fromkeys(("id_train", "id_test", "ood_train", "ood_test"), 0.5), threshold=0.5
        ),
        "phase_diagram": lambda: grok_interp.phase_diagram([(numbers.config, shots)]),
        "training_curves": lambda: grok_interp.training_curves([results.with_config(run.config)]),
        "evaluations": lambda: grok_interp.evaluations(run.directory),
        "push": lambda: Revisions.of(run, "owner/name"),  # up to the first request, which needs a hub
        "Run.evaluate": lambda: copying.analyze(Run.open(run.directory)),
        "Study.analyze_shown": lambda: COPYING.analyze_shown(
            Run.open(run.directory), device="cpu", show=Output(quiet=True).progress
        ),
        "Study.report_page": lambda: COPYING.report_page(run).html(),
        "save_figure": lambda: save_figure(drawing, run.directory / "figures" / "x"),
    }


def of_models(folder: Path) -> dict[str, Call]:
    theirs, published = grok_interp.to_huggingface(MODEL), grok_interp.to_published(NUMBERS)
    torch.save(MODEL.state_dict(), folder / "model_3.pt")
    files = str(folder / "model_{step}.pt")
    examples = [(1, 2, 3), (2, 4, 1)]
    return {
        "audit": lambda: grok_interp.audit(CheckpointSeries.from_models(MODELS)),
        "from_huggingface": lambda: grok_interp.from_huggingface(theirs),
        "from_published": lambda: grok_interp.from_published(published, n_heads=MODULAR.n_heads),
        "is_run": lambda: grok_interp.is_run(folder),
        "llama_copier": lambda: grok_interp.llama_copier(**SIZES, d_mlp=8, d_vocab=9, n_ctx=7),
        "load_reference": lambda: list(grok_interp.load_reference("copier-mini")),
        "modular_gpt": lambda: grok_interp.modular_gpt(**SIZES),
        "modular_regression": lambda: grok_interp.modular_regression(examples, P),
        "preset": lambda: grok_interp.preset("copier-tiny"),
        "processing_of": lambda: grok_interp.processing_of(MODEL),
        "published_file": lambda: grok_interp.published_file(PUBLISHED),
        "ratio_matching": lambda: grok_interp.ratio_matching(examples, P),
        "to_hooked_transformer": lambda: grok_interp.to_hooked_transformer(MODEL),
        "to_huggingface": lambda: grok_interp.to_huggingface(MODEL),
        "to_published": lambda: grok_interp.to_published(NUMBERS),
        "training_point": lambda: grok_interp.training_point("step3000"),
        "training_preset": lambda: grok_interp.training_preset("copier-tiny"),
        "weights_of": lambda: grok_interp.weights_of(MODEL),
        "CheckpointSeries.from_files": lambda: list(CheckpointSeries.from_files(files, model=MODEL)),
    }


def of_data_and_training(config: TrainConfig, folder: Path) -> dict[str, Call]:
    many = [replace(config, init_seed=seed, data_seed=seed) for seed in (0, 1)]
    windows = np.arange(400) % 37
    return {
        "document_windows": lambda: grok_interp.document_windows(windows, n_ctx=5, n_windows=3, end=0),
        "repeated_tokens": lambda: grok_interp.repeated_tokens(n_sequences=2, half=3, alphabet=range(9), seed=0),
        "run_ensemble": lambda: grok_interp.run_ensemble({folder / f"e{c.init_seed}": c for c in many}),
        "run_training": lambda: grok_interp.run_training(folder / "trained", config.with_model(attn_dropout=0.1)),
        "slot_sequences": lambda: grok_interp.slot_sequences((2, 1), P, slot=1, n_examples=3, seed=0),
        "train": lambda: list(grok_interp.train(config.with_model(attn_dropout=0.1))),
        "train_ensemble": lambda: list(grok_interp.train_ensemble(many)),
        "Transformer": lambda: Transformer(CIRCUIT, seed=0),
        "CopyTask": lambda: CopyTask(
            n_sequences=2, n_prefix=2, n_suffix=2, n_samples=3, query_every=1, separator=1
        ).sample(),
        "ModularTasks": lambda: ModularTasks.draw(ModularConfig(p=P, n_id=4, alpha=0.6)),
    }


def in_training(config: TrainConfig) -> dict[str, Call]:
    """Between two checkpoints of a training a caller draws and computes as everywhere."""
    training = grok_interp.train(config.with_model(attn_dropout=0.1))
    return {f"train, checkpoint {number}": lambda: next(training) for number in range(3)}


def as_no_process_begins() -> None:
    """A state that the package would not set."""
    torch.manual_seed(11)
    np.random.seed(12)
    random.seed(13)
    torch.set_num_threads(2)


def changes_are_seen() -> None:
    """The checks themselves, on functions that are known to change something."""
    assert changed(lambda: torch.rand(1)) == ["torch's random state"]
    assert changed(lambda: np.random.rand()) == ["NumPy's random state"]
    assert changed(lambda: random.random()) == ["Python's random state"]
    assert changed(lambda: torch.set_num_threads(1)) == ["threads"]
    with mpl.rc_context(), warnings.catch_warnings():
        assert changed(lambda: mpl.rcParams.update({"font.size": 3.5})) == ["rcParams"]
        assert changed(lambda: warnings.simplefilter("ignore")) == ["warnings filters"]
    assert changed(lambda: Transformer(CIRCUIT)) == ["torch's random state"], "without a seed, as torch's own layers"


def main(folder: Path) -> dict[str, list[str]]:
    (folder / "text.txt").write_text(inspect.getsource(inspect))
    config = training_preset("copier-tiny").with_data(source=str(folder / "text.txt"))
    run = grok_interp.run_training(folder / "text", config)
    numbers = grok_interp.run_training(folder / "numbers", training_preset("modular-tiny"))
    calls = of_analyzers() | of_results(run, numbers) | of_models(folder) | of_data_and_training(config, folder)
    assert FUNCTIONS - calls.keys() == set(), "a public function is missing here"
    plotly.graph_objects.Figure()  # imports what adds warnings filters of its own
    as_no_process_begins()
    changes_are_seen()
    as_no_process_begins()
    return {name: found for name, call in {**calls, **in_training(config)}.items() if (found := changed(call))}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
