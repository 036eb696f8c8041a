"""Copying accuracy of 10 queries a sample: one run over the strings that they share, against greedy generation.

    python benchmarks/copying_accuracy.py           the paper's model (162M parameters) and test, of 2 samples
    python benchmarks/copying_accuracy.py --short   the paper's test with a small model, of 4 samples

The peer is Hugging Face's `generate` with its KV cache on the same weights: each query's prompt is read once, then its
suffix is generated token by token, all samples of a query in one batch. Weights are random, but no token besides the
test's can be said, so that some suffixes begin rightly. Compared is where each suffix first goes wrong.
"""

from __future__ import annotations

from typing import Any

import torch
import tyro
from side_by_side import prepare
from speedup import print_speedup, print_speedup_header

from grok_interp.analysis.copying import copying_accuracy
from grok_interp.configs import ModelConfig, llama_copier
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.models.interchange import to_huggingface
from grok_interp.models.transformer import Transformer
from grok_interp.presets import preset


def model_that_says(cfg: ModelConfig, alphabet: tuple[int, ...]) -> Transformer:
    model = Transformer(cfg, seed=0).eval()
    others = torch.ones(cfg.d_vocab, dtype=torch.bool)
    others[list(alphabet)] = False
    with torch.no_grad():
        model.unembed.weight[others] = 0.0
    return model


def n_right(correct: torch.Tensor) -> torch.Tensor:
    """sample x sequence: how many tokens of the suffix are right before the first wrong one."""
    return correct.long().cumprod(dim=-1).sum(dim=-1)


def teacher_forced(model: Transformer, samples: CopySamples) -> torch.Tensor:
    accuracy = copying_accuracy([(0, model)], samples)
    return n_right(torch.as_tensor(accuracy["correct"][0].to_numpy()))


def generated(theirs: Any, samples: CopySamples) -> torch.Tensor:
    task, correct = samples.task, []
    for index in task.queries:
        prefix, suffix = samples.query(index).split([task.n_prefix, task.n_suffix], dim=1)
        prompt = torch.cat([samples.context, prefix], dim=1)
        options = dict(attention_mask=torch.ones_like(prompt), max_new_tokens=task.n_suffix, do_sample=False)
        found = theirs.generate(prompt, **options, use_cache=True, pad_token_id=0, eos_token_id=None)
        correct.append(found[:, prompt.shape[1] :] == suffix)
    return n_right(torch.stack(correct, dim=1))


def main(*, short: bool = False, n_samples: int | None = None, rounds: int = 3) -> None:
    """Print the table.

    Args:
        short: a small model; less than a minute.
        n_samples: how many; the paper has 500.
        rounds: how often both are timed.
    """
    prepare()
    small = llama_copier(n_layers=4, n_heads=4, d_model=256, d_mlp=1024, d_vocab=256, n_ctx=1024)
    cfg = small if short else preset("copier-paper")
    samples = CopyTask(n_samples=n_samples or (4 if short else 2)).sample()
    model = model_that_says(cfg, samples.task.alphabet)
    theirs = to_huggingface(model)
    theirs.generation_config.eos_token_id = None
    print_speedup_header()
    print_speedup(
        f"copying accuracy, {len(samples.strings)} of 500 samples x {len(samples.task.queries)} queries, "
        f"{cfg.n_layers} layers, d_model {cfg.d_model}",
        ours=lambda: teacher_forced(model, samples),
        peer=lambda: generated(theirs, samples),
        agree=torch.equal,
        target=10,
        rounds=rounds,
    )


if __name__ == "__main__":
    tyro.cli(main)
