"""Direct logit attribution: how much does each head add to the logit of the token to be copied?

The residual stream before the final norm is a sum, so the logit of a token t after position q is one, too:

    logit(q, t) - mean over tokens v of logit(q, v) = sum over components c of  c(q) . u(q, t)  +  bias(t)
    u(q, t) = g * (W_U[:, t] - mean over v of W_U[:, v]) / s(q)

with g the gain and s(q) the scale of the final norm, kept as it is (LayerNorm: u is centered, too). Raw and
processed weights give the same, because softmax does not read the mean over tokens. Components:

    contribution  (z - c) W_O of each head, with c what its biases make it write whatever it reads (`value_constants`)
    mlp           what else each layer adds: its MLP and its biases, those of its heads included
    embedding     tokens and, where they are added, positions

On the copying test t is each expected token of the suffix. After Elhage et al. 2021. Intervals are 95% over samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from einops import einsum
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.arguments import require_outputs
from grok_interp.analysis.checkpoints_of import EACH_HEAD, Checkpoints, checkpoints_of
from grok_interp.analysis.sample_intervals import mean_interval
from grok_interp.arguments import checked
from grok_interp.counted import counted, over
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel, device_of, in_batches, logits, read, z_name
from grok_interp.models.norm_gains import final_norm, norm_gains, require_linear_path
from grok_interp.models.value_biases import value_constants
from grok_interp.models.weights_of import weights_of
from grok_interp.results.result import Measure, Result

PARTS = {  # measure -> what it is, and its dimensions behind `checkpoint`
    "contribution": ("contribution of a head", ("layer", "head")),
    "mlp": ("contribution of a layer's MLP and biases", ("layer",)),
    "embedding": ("contribution of the embedding", ()),
    "bias": ("contribution of the biases behind the last layer", ()),
    "logit": ("logit of the copied token minus the mean logit", ()),
}
Parts = dict[str, Tensor]  # one number per query in front, then the dimensions of the part


def _measures() -> dict[str, Measure]:
    found = {}
    for name, (text, dims) in PARTS.items():
        found[name] = Measure(text, "nats", every := ("checkpoint", *dims))
        for bound in ("low", "high"):
            found[f"{name}_{bound}"] = Measure(f"{text}, {bound} end of the 95% interval", "nats", every, True)
    return found


class LogitAttribution(Result):
    """What each head, layer and the embedding add to the logit of the copied token; they sum to `logit`.

    Means over the suffixes of the copying test, each with the ends of its 95% interval over samples: `mlp_low`, ...
    """

    name = "logit_attribution"
    dims = ("checkpoint", "layer", "head")
    measures: ClassVar = _measures()

    @checked
    def strongest(self, n_heads: int = 1) -> list[tuple[int, int]]:
        """(layer, head) of the largest contribution at the last checkpoint, largest first.

        Args:
            n_heads: at least 1.
        """
        last = self["contribution"].isel(checkpoint=-1).to_series().sort_values(ascending=False)
        return [(int(layer), int(head)) for layer, head in last.index[:n_heads]]

    def __str__(self) -> str:
        sizes, (head, *_), last = self.dataset.sizes, self.strongest(), self.at()
        value, low, high = (float(last[f"contribution{end}"][head]) for end in ("", "_low", "_high"))
        interval = "(no interval)" if np.isnan(low) and np.isfinite(value) else f"[{low:.2f}, {high:.2f}]"
        return (
            f"direct logit attribution of {sizes['layer']} x {sizes['head']} heads at "
            f"{counted(sizes['checkpoint'], 'checkpoint')}; at the last {named([head])} adds {value:.2f} "
            f"{interval} of {float(last['logit']):.2f} to the logit of the copied token "
            f"(95% CI{over(self.dataset.attrs.get('n_samples'), 'sample')}){self.warning()}"
        )


def direct_contribution(
    vectors: Float[Tensor, "*lead d_model"], direction: Float[Tensor, "*lead d_model"]
) -> Float[Tensor, "*lead"]:
    """Kernel: what vectors in the residual stream add to a logit, given the direction u of the module's formula.

    Args:
        vectors: what components write to the residual stream.
        direction: u, of the same axes or of ones that broadcast.
    """
    return (vectors.float() * direction).sum(dim=-1)


@checked
def direct_logit_attribution(
    checkpoints: Checkpoints, samples: CopySamples, *, batch_size: int = 64
) -> LogitAttribution:
    """Direct logit attribution of every head of each (step, model), on the same samples of the copying test.

    Args:
        checkpoints: one model, (step, model) pairs, or a series of checkpoints.
        samples: strings of the copying test, from `CopyTask.sample()`.
        batch_size: samples per forward pass; changes memory, not the result.

    Returns:
        Contributions by checkpoint, layer and head; NaN where activations are not finite.

    Raises:
        ValueError: if the test is longer than a model's context, and for models whose heads do not add to the residual
            stream directly (norms behind the attention) or whose logits are no linear function of it.

    Example:
        >>> from grok_interp import CopyTask, Transformer, preset
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> found = direct_logit_attribution(Transformer(preset("copier-tiny"), seed=0), samples)
        >>> dict(found["contribution"].sizes)
        {'checkpoint': 1, 'layer': 2, 'head': 2}
    """
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, tokens=samples.context, n_read=0, same=EACH_HEAD):
        samples.task.require_context(model.cfg.n_ctx)
        require_outputs(model, strings := samples.strings)
        reader = _Reader.of_model(model, samples)
        parts = [reader.by_sample(each, part) for each, part in in_batches(model, strings, batch_size)]
        rows.append({name: torch.cat([part[name] for part in parts]).double().numpy() for name in PARTS})
        steps.append(step)
    arrays = {}
    for name in PARTS:
        by_sample = np.moveaxis(np.stack([row[name] for row in rows]), 1, -1)
        low, high = mean_interval(by_sample)
        arrays |= {name: by_sample.mean(axis=-1), f"{name}_low": low, f"{name}_high": high}
    n_layers, n_heads = arrays["contribution"].shape[1:]
    coords = {"checkpoint": steps, "layer": range(n_layers), "head": range(n_heads)}
    attrs = {"n_samples": len(samples.strings), "alphabet": samples.task.alphabet_name, "seed": samples.task.seed}
    return LogitAttribution.of_arrays(arrays, coords, attrs)


@dataclass(frozen=True)
class _Reader:
    """One model's final norm and unembedding, and how it is read.

    Attributes:
        samples: gives the layout of the test.
        W_O: layer head d_head d_model.
        constants: layer head d_head, c of each head.
        W_U: d_model d_vocab, times the final gain, minus its mean over tokens.
        bias: d_vocab, minus its mean.
        centered: the final norm subtracts the mean.
        normalizes: there is a final norm.
        eps: of the final norm.
    """

    samples: CopySamples
    W_O: Tensor
    constants: Tensor
    W_U: Tensor
    bias: Tensor
    centered: bool
    normalizes: bool
    eps: float

    @classmethod
    def of_model(cls, model: Any, samples: CopySamples) -> _Reader:
        weights = weights_of(model)
        require_linear_path(model)
        kind = getattr(model.cfg, "normalization_type", None) or ""
        with torch.no_grad():
            W_U = weights.W_U.float()
            bias = _bias(getattr(model, "unembed", None), ("b_U", "bias"), W_U[0])
            bias = bias + _bias(final_norm(model), ("b", "bias"), W_U[:, 0]) @ W_U
            W_U = W_U * norm_gains(model).final.to(W_U)[:, None]
            return cls(
                samples,
                weights.W_O.float(),
                value_constants(model).float(),
                W_U - W_U.mean(dim=1, keepdim=True),
                bias - bias.mean(),
                centered=kind.startswith("LN"),
                normalizes=kind != "",
                eps=float(getattr(model.cfg, "eps", 0.0)),
            )

    def by_sample(self, model: HookedModel, strings: Int64[Tensor, "sample sequence char"]) -> Parts:
        """The mean over queried strings and suffix positions."""
        samples = CopySamples(self.samples.task, strings)
        queries = [self._of_query(model, samples, index) for index in samples.task.queries]
        return {name: torch.stack([query[name].mean(dim=1) for query in queries]).mean(dim=0) for name in PARTS}

    def _of_query(self, model: HookedModel, samples: CopySamples, index: int) -> Parts:
        """sample x suffix position, then the dimensions of each part."""
        tokens = torch.cat([samples.context, samples.query(index)[:, :-1]], dim=1)
        n_layers, n_suffix = len(self.W_O), samples.task.n_suffix
        streams = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(n_layers))]
        names = [*streams, *map(z_name, range(n_layers))]
        found = read(model, tokens, dict.fromkeys(names, lambda activation: activation[:, -n_suffix:].clone()))
        residual = [found[name].float() for name in streams]
        direction, bias = self._direction(residual[-1], samples.suffix(index).to(device_of(model)))
        heads = torch.stack([self._of_heads(found[z_name(layer)], layer, direction) for layer in range(n_layers)], -2)
        at_layer = torch.stack([direct_contribution(stream, direction) for stream in residual], dim=-1)
        parts = {
            "contribution": heads,
            "mlp": at_layer.diff(dim=-1) - heads.sum(dim=-1),
            "embedding": at_layer[..., 0],
            "bias": bias,
            "logit": at_layer[..., -1] + bias,
        }
        self._require_sum(parts["logit"], model, tokens, samples.suffix(index))
        return {name: part.cpu() for name, part in parts.items()}

    def _direction(self, stream: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """u of the expected tokens at each position, and their biases."""
        direction = self.W_U.T.to(stream.device)[expected]
        if self.centered:
            stream = stream - stream.mean(dim=-1, keepdim=True)
            direction = direction - direction.mean(dim=-1, keepdim=True)
        if self.normalizes:
            direction = direction / (stream.square().mean(dim=-1, keepdim=True) + self.eps).sqrt()
        return direction, self.bias.to(stream.device)[expected]

    def _of_heads(self, z: Tensor, layer: int, direction: Tensor) -> Float[Tensor, "sample char head"]:
        W_O = self.W_O[layer].to(z.device)
        read_by = einsum(W_O, direction, "head d_head d_model, sample char d_model -> sample char head d_head")
        return ((z.float() - self.constants[layer].to(z.device)) * read_by).sum(dim=-1)

    def _require_sum(self, total: Tensor, model: HookedModel, tokens: Tensor, expected: Tensor) -> None:
        """The contributions of the first sample must sum to its logits."""
        scores = logits(model, tokens[:1])[:, -expected.shape[1] :]
        true = scores.gather(-1, expected[:1, :, None].to(scores.device))[..., 0] - scores.mean(dim=-1)
        if bool(true.isfinite().all()) and not torch.allclose(total[:1], true, rtol=1e-2, atol=1e-2):
            raise ValueError(
                f"contributions sum to {float(total[0, 0]):.3f}, the logit is {float(true[0, 0]):.3f}: the logits of "
                f"{type(model).__name__} are no linear function of the residual stream (a soft cap, or another norm)"
            )


def _bias(module: Any, names: tuple[str, ...], like: Tensor) -> Tensor:
    """The first of these attributes; zeros without one."""
    found = (each for name in names if isinstance(each := getattr(module, name, None), Tensor))
    return next(found, torch.zeros_like(like)).detach().to(like)
