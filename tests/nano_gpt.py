"""A plain torch GPT as nanoGPT has it, and the adapter that a reader writes for it."""

import math

import torch
from torch import Tensor, nn

from grok_interp import TorchAdapter

N_LAYERS, N_HEADS, D_MODEL, D_VOCAB, N_CTX = 2, 3, 12, 23, 40


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(D_MODEL, 3 * D_MODEL), nn.Linear(D_MODEL, D_MODEL)
        self.attn_dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (N_HEADS, -1)).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1))
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~causal, -math.inf)
        pattern = self.attn_dropout(scores.softmax(dim=-1))
        return self.c_proj((pattern @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(D_MODEL), Attention()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attn(self.ln_1(x))


class GPT(nn.Module):
    """As nanoGPT: logits at the last position alone, unless there are targets."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(D_VOCAB, D_MODEL), nn.Embedding(N_CTX, D_MODEL)
        self.h, self.ln_f = nn.ModuleList(Block() for _ in range(N_LAYERS)), nn.LayerNorm(D_MODEL)
        self.lm_head = nn.Linear(D_MODEL, D_VOCAB, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, None]:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        return self.lm_head(x if targets is not None else x[:, [-1]]), None


def trained(seed: int) -> GPT:
    torch.manual_seed(seed)
    model = GPT()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.4)
    return model


SIZES = dict(n_layers=N_LAYERS, n_heads=N_HEADS, d_model=D_MODEL, d_vocab=D_VOCAB, n_ctx=N_CTX)
HOOKS = {"blocks.{layer}.attn.hook_pattern": "h.{layer}.attn.attn_dropout"}
WEIGHTS = {
    "W_E": "wte.weight",
    "W_U": "lm_head.weight",
    "W_QKV": "h.{layer}.attn.c_attn.weight",
    "W_O": "h.{layer}.attn.c_proj.weight",
    "ln1": "h.{layer}.ln_1",
    "ln_final": "ln_f",
}


def adapted(seed: int = 0, **options) -> TorchAdapter:
    """The example of the documentation: what a reader writes for a nanoGPT."""
    defaults = dict(hooks=HOOKS, weights=WEIGHTS, forward=lambda model, tokens: model(tokens, tokens))
    return TorchAdapter(trained(seed), **SIZES, **(defaults | options))
