"""What a head's weights say without any attention: whom it would match, what it would copy, what it reads.

Weights are taken as they are (`ov_circuits` alone can fold gains in): the gains of the norms (also those of queries and
keys), biases and rotary positions are left out, so the QK circuit is that of a query and a key at the same position.
Query heads that share a key and a value head have a circuit each. Circuits over the vocabulary or the residual stream
are never built: their eigenvalues and norms are those of d_head x d_head matrices.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.models.activations import HookedModel
from grok_interp.models.weights_of import HeadWeights, NormGain, weights_of

TOKENS_AT_ONCE = 512  # float32 products of so few tokens, summed in float64, change EP by less than 1e-7


def qk_circuits(model: HookedModel) -> Float[Tensor, "layer head d_head d_head"]:
    """W_K^T (W_E^T W_E) W_Q of every head: the non-zero eigenvalues of the full QK circuit W_E W_Q W_K^T W_E^T."""
    weights = weights_of(model)
    W_E, W_Q, W_K = (_double(weight) for weight in (weights.W_E, weights.W_Q, weights.W_K))
    return W_K.mT @ (W_E.T @ W_E) @ W_Q


def ov_circuits(model: HookedModel, norm_gain: NormGain = "ignored") -> Float[Tensor, "layer head d_head d_head"]:
    """W_O (W_U W_E) W_V of every head: the non-zero eigenvalues of the full OV circuit W_E W_V W_O W_U.

    In float64 (see `_through_tokens`), but one layer and some of the vocabulary at a time.

    Args:
        model: TransformerLens' or ours, or anything else that `weights_of` reads.
        norm_gain: whether the gains of norms are multiplied in, see `weights_of`.
    """
    weights = weights_of(model, norm_gain)
    through_tokens = _through_tokens(weights)
    by_layer = zip(weights.W_V, weights.W_O, strict=True)
    return torch.stack([_in_float64(W_O) @ through_tokens @ _in_float64(W_V) for W_V, W_O in by_layer]).cpu()


def _through_tokens(weights: HeadWeights) -> Float[Tensor, "d_model d_model"]:
    """W_U W_E: from what is written for the unembedding to what is read from the embedding.

    It costs most of all where the vocabulary is large. A CPU multiplies float32 twice as fast as float64, so there
    parts of the sum over tokens are in float32.
    """
    d_model, n_tokens = len(weights.W_U), weights.n_tokens
    W_UE = _in_float64(torch.zeros(d_model, d_model, device=weights.W_U.device))
    read = Tensor.float if _multiplies_float32(weights.W_U, weights.W_E) else _in_float64
    parts = zip(
        weights.W_U[:, :n_tokens].split(TOKENS_AT_ONCE, dim=1),
        weights.W_E[:n_tokens].split(TOKENS_AT_ONCE),
        strict=True,
    )
    for W_U, W_E in parts:
        W_UE += read(W_U) @ read(W_E)
    return W_UE


def _multiplies_float32(*weights: Tensor) -> bool:
    """Not where the caller has asked for faster and coarser products, nor weights that are more exact themselves."""
    on_cpu = all(weight.device.type == "cpu" and weight.dtype != torch.float64 for weight in weights)
    coarser = torch.is_autocast_enabled("cpu") or torch.get_float32_matmul_precision() != "highest"
    return on_cpu and not coarser


def _in_float64(tensor: Tensor) -> Tensor:
    """Where it is, if the device knows float64 (Apple's GPUs do not), otherwise on the CPU."""
    return tensor.double() if tensor.device.type in ("cpu", "cuda") else tensor.cpu().double()


def top_1_copying(circuit: Float[Tensor, "token d_vocab"], tokens: Int64[Tensor, " token"]) -> Float[Tensor, ""]:
    """Kernel: the fraction of tokens whose row, what the head adds to all logits, is largest at the token itself.

    A tie does not count, so a head that writes nothing copies nothing.
    """
    own = circuit.gather(1, tokens[:, None])
    return ((circuit >= own).sum(dim=1) == 1).float().mean()


def ov_copying(model: HookedModel, tokens: Int64[Tensor, "*any"]) -> Float[Tensor, "layer head"]:
    """`top_1_copying` of every head's full OV circuit W_E W_V W_O W_U, over the different tokens that are given.

    Tokens that are no outputs (d_vocab_out < d_vocab) cannot be copied and are left out.
    """
    weights, symbols = weights_of(model), tokens.unique().cpu()
    symbols = symbols[symbols < weights.n_tokens]
    W_E, W_V, W_O, W_U = (each.float().cpu() for each in (weights.W_E, weights.W_V, weights.W_O, weights.W_U))
    heads = zip(W_V.flatten(0, 1), W_O.flatten(0, 1), strict=True)
    copied = [  # one head at a time: token x d_vocab is large
        top_1_copying((W_E[symbols] @ reads) @ (writes @ W_U), symbols) for reads, writes in heads
    ]
    return torch.stack(copied).unflatten(0, W_V.shape[:2])


def k_composition(
    W_V: Float[Tensor, "d_model d_head"],
    W_O: Float[Tensor, "d_head d_model"],
    W_Q: Float[Tensor, "*lead d_model d_head"],
    W_K: Float[Tensor, "*lead d_model d_head"],
) -> Float[Tensor, "*lead"]:
    """Kernel: |W_V W_O W_K W_Q^T| / (|W_V W_O| |W_K W_Q^T|), between 0 and 1; 0 when a circuit is zero.

    W_V and W_O are those of the head that writes, W_Q and W_K of the one that reads; |.| is the Frobenius norm.
    """
    identity = torch.eye(W_V.shape[-1], dtype=W_V.dtype)
    met = _product_norm(W_V, W_O @ W_K, W_Q)
    apart = _product_norm(W_V, identity, W_O.mT) * _product_norm(W_K, identity, W_Q)
    return torch.where(apart > 0, met / apart.clamp_min(torch.finfo(apart.dtype).tiny), 0.0).float()


def k_composition_with_previous_token(
    model: HookedModel, previous_token: Float[Tensor, "layer head"]
) -> Float[Tensor, "layer head"]:
    """Of every head with the one, in the layers before it, whose previous-token score is the largest; 0 in layer 0."""
    weights = weights_of(model)
    W_Q, W_K, W_V, W_O = (_double(each) for each in (weights.W_Q, weights.W_K, weights.W_V, weights.W_O))
    found = torch.zeros(W_Q.shape[:2])
    for layer in range(1, len(found)):
        writer = divmod(int(previous_token[:layer].argmax()), found.shape[1])
        found[layer] = k_composition(W_V[writer], W_O[writer], W_Q[layer], W_K[layer])
    return found


def weight_norms(model: HookedModel) -> Float[Tensor, "layer head"]:
    """sqrt(|W_Q|^2 + |W_K|^2 + |W_V|^2 + |W_O|^2) of every head, Frobenius norms."""
    weights = weights_of(model)
    squares = [
        _double(each).square().sum(dim=(-2, -1)) for each in (weights.W_Q, weights.W_K, weights.W_V, weights.W_O)
    ]
    return torch.stack(squares).sum(dim=0).sqrt().float()


def _product_norm(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    """|left middle right^T|, from the trace of its square: only d_head x d_head matrices."""
    square = ((left.mT @ left) @ middle * (middle @ (right.mT @ right))).sum(dim=(-2, -1))
    return square.clamp_min(0.0).sqrt()


def _double(weight: Tensor) -> Tensor:
    return weight.detach().double().cpu()
