"""Models and patterns whose answer is known: on them every analyzer must give the textbook result.

The main piece is `induction_circuit`, a transformer of two layers whose weights are written, not trained. Its residual
stream has four parts, and every part that is filled holds one unit vector:

    constant   1, at every position: what a head reads that looks at positions and not at tokens
    token      one-hot, the current token, written by the embedding
    previous   one-hot, the token before, written by L0H0
    copied     one-hot, the token to come, written by L1H0 and the only part that the unembedding reads

L0H0 looks one position back. It reads the constant, so its query is the same vector everywhere, and its key is that
vector turned by one position; rotary positions turn a query at m by m and a key at n by n more, so that the two agree
exactly where n + 1 = m. L1H0 asks "who has my token as its previous one?": its queries read `token`, its keys
`previous`, and it copies the token found there. All other heads and both MLPs are zero.

RMSNorm stands before every layer. A residual stream of n unit vectors has the root mean square sqrt(n / d_model)
whatever the token; that is the gain written here, so that the norms give back what they get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from grok_interp.configs import ModelConfig, llama_copier, modular_gpt
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views
from grok_interp.results.result import Result

SEPARATOR = 0  # also what a model with equal logits predicts
N_TOKENS = 23  # the separator is one of them
N_FAST = 7  # rotary pairs that turn too far within the context to compare tokens with: L1H0 leaves them alone

CONSTANT = slice(0, 1)
TOKEN = slice(1, 1 + N_TOKENS)
PREVIOUS = slice(1 + N_TOKENS, 1 + 2 * N_TOKENS)
COPIED = slice(1 + 2 * N_TOKENS, 1 + 3 * N_TOKENS)

CIRCUIT = llama_copier(
    n_layers=2,
    n_heads=5,
    d_model=1 + 3 * N_TOKENS,
    d_head=2 * (N_FAST + N_TOKENS),
    d_mlp=5,
    d_vocab=N_TOKENS,
    n_ctx=47,
    rotary_base=1e8,  # pairs from N_FAST on turn by less than 0.64 over the whole context
)
PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD = (0, 0), (1, 0)

LLAMA = llama_copier(n_layers=2, n_heads=3, d_model=30, d_mlp=17, d_vocab=37, n_ctx=19)
MODULAR = modular_gpt(n_layers=3, n_heads=2, d_model=28, d_vocab=41, n_ctx=23)


def induction_circuit(*, sharpness: float = 30.0, copy: float = 1.0) -> Transformer:
    """The circuit above, in eval mode.

    `sharpness` is the attention score of a match, all others having about 0: with 0 every head is uniform. `copy` is
    the sign and size of what L1H0 writes: with -1 it lowers the logit of the token to come as much as 1 raises it.
    """
    model = Transformer(CIRCUIT, seed=0).eval()
    weights = canonical_views(model)
    for weight in weights.values():
        weight.zero_()
    weights["embed.W_E"][:, CONSTANT] = 1.0
    weights["embed.W_E"][:, TOKEN] = torch.eye(N_TOKENS)
    write_previous_token_head(model, *PREVIOUS_TOKEN_HEAD, sharpness=sharpness)
    write_induction_head(model, *INDUCTION_HEAD, sharpness=sharpness, copy=copy)
    weights["unembed.W_U"][COPIED] = 30.0 * torch.eye(N_TOKENS)
    for norm, n_filled in {"blocks.0.ln1.w": 2, "blocks.1.ln1.w": 3, "ln_final.w": 4}.items():
        weights[norm].fill_(math.sqrt(n_filled / CIRCUIT.d_model))
    return model


def write_previous_token_head(model: Transformer, layer: int, head: int, *, sharpness: float) -> None:
    """The score of a key `distance` before the query is sharpness * sum over pairs of cos((distance - 1) * frequency):
    all cosines are 1 together only at distance 1."""
    W_Q, W_K, W_V, W_O = head_weights(model, layer, head)
    query = (torch.arange(CIRCUIT.d_head) < CIRCUIT.d_head / 2).float()  # one feature of each rotary pair
    turned_by_one = model.blocks[layer].attn.rotary(query.expand(1, 1, CIRCUIT.n_heads, -1), offset=1)[0, 0, 0]
    W_Q[CONSTANT] = sharpness * math.sqrt(CIRCUIT.d_head) * query
    W_K[CONSTANT] = turned_by_one
    W_V[TOKEN, :N_TOKENS] = torch.eye(N_TOKENS)
    W_O[:N_TOKENS, PREVIOUS] = torch.eye(N_TOKENS)


def write_induction_head(model: Transformer, layer: int, head: int, *, sharpness: float, copy: float) -> None:
    """Tokens are compared in slow rotary pairs, which hardly turn, so that a match counts at every distance.

    The first position has no token before it and takes itself for it. So keys read the previous token less the current
    one: where the two are equal nothing is left, and the first token is not found as its own successor.
    """
    W_Q, W_K, W_V, W_O = head_weights(model, layer, head)
    slow = slice(N_FAST, N_FAST + N_TOKENS)
    W_Q[TOKEN, slow] = sharpness * math.sqrt(CIRCUIT.d_head) * torch.eye(N_TOKENS)
    W_K[PREVIOUS, slow] = torch.eye(N_TOKENS)
    W_K[TOKEN, slow] = -torch.eye(N_TOKENS)
    W_V[TOKEN, :N_TOKENS] = torch.eye(N_TOKENS)
    W_O[:N_TOKENS, COPIED] = copy * torch.eye(N_TOKENS)


def head_weights(model: Transformer, layer: int, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_Q, W_K, W_V and W_O of one head; writing into them writes the model."""
    weights = canonical_views(model)
    W_Q, W_K, W_V, W_O = (weights[f"blocks.{layer}.attn.W_{name}"][head] for name in "QKVO")
    return W_Q, W_K, W_V, W_O


def random_model(cfg: ModelConfig, *, seed: int = 3) -> Transformer:
    """In eval mode, its weights, gains and biases far from the small initialization, where a wrong convention hides."""
    model = Transformer(cfg, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return model


def uniform_model(cfg: ModelConfig, *, seed: int = 3) -> Transformer:
    """A random model in which every head looks equally at all tokens so far: its queries are zero."""
    model = random_model(cfg, seed=seed)
    for name, weight in canonical_views(model).items():
        if name.endswith("W_Q"):
            weight.zero_()
    return model


def uniform_abar(half: int) -> float:
    """Abar of a uniform head: the mean of 1 / (query + 1) over the queries half .. 2 half - 2."""
    return sum(1 / (query + 1) for query in range(half, 2 * half - 1)) / (half - 1)


def pattern(size: int, looks_at: Callable[[int], int]) -> Tensor:
    """query x key: all the attention of each query on one key."""
    weights = torch.zeros(size, size)
    for query in range(size):
        weights[query, looks_at(query)] = 1.0
    return weights


def perfect_induction_pattern(half: int) -> Tensor:
    """Two equal halves: from the second on, each query looks at what followed its token the first time."""
    return pattern(2 * half, lambda query: query - half + 1 if query >= half else query)


def previous_token_pattern(size: int) -> Tensor:
    return pattern(size, lambda query: max(query - 1, 0))


def random_tokens(cfg: ModelConfig, *, n_sequences: int = 5, length: int = 13, seed: int = 7) -> Tensor:
    return torch.randint(0, cfg.d_vocab, (n_sequences, length), generator=torch.Generator().manual_seed(seed))


def repeated_distinct_tokens(*, n_sequences: int = 5, half: int = 19, seed: int = 0) -> Tensor:
    """Two equal halves without the separator, in which no token occurs twice.

    A head that matches one token cannot know which occurrence of a repeated one to follow: only without repeats is
    perfect induction well defined, and `repeated_tokens` repeats tokens by chance.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [1 + torch.randperm(N_TOKENS - 1, generator=generator)[:half] for _ in range(n_sequences)]
    return torch.stack(rows).repeat(1, 2)


def distinct_copy_samples(*, n_samples: int = 5, seed: int = 0) -> CopySamples:
    """The copying test on two strings of 7 + 4 tokens that use every token once, for the same reason."""
    alphabet = tuple(range(1, N_TOKENS))
    task = CopyTask(
        n_sequences=2,
        n_prefix=7,
        n_suffix=4,
        n_samples=n_samples,
        query_every=1,
        alphabet=alphabet,
        separator=SEPARATOR,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    orders = torch.stack([1 + torch.randperm(len(alphabet), generator=generator) for _ in range(n_samples)])
    return CopySamples(task, orders.unflatten(1, (task.n_sequences, task.n_prefix + task.n_suffix)))


def labeled(values: np.ndarray, dims: tuple[str, ...], coords: Mapping[str, Sequence]) -> xr.DataArray:
    """Numbers chosen by hand as a curve, or an array of scores."""
    return xr.DataArray(values, dims=dims, coords={dim: list(labels) for dim, labels in coords.items()})


def measured(result: Result) -> xr.DataArray:
    """All measures of a result, of the same dimensions, as one array with `measure` first."""
    return result.dataset.to_dataarray("measure")
