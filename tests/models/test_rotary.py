"""Rotary positions against rotation matrices written out, in each of the ways that they are computed."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from grok_interp.configs import ModelConfig, llama_copier
from grok_interp.models.rotary import rotary

CFG = llama_copier(n_layers=1, n_heads=3, d_model=30, d_mlp=8, d_vocab=5, n_ctx=11, rotary_base=50.0)
PAIRS = pytest.mark.parametrize("adjacent", [True, False], ids=["adjacent", "half-split"])


def turned_by_matrices(x: Tensor, cfg: ModelConfig, offset: int) -> Tensor:
    """One pair at a time; x is batch pos head d_head in float64."""
    out, half = torch.empty_like(x), cfg.d_head // 2
    for position in range(x.shape[1]):
        for i in range(half):
            a, b = (2 * i, 2 * i + 1) if cfg.rotary_adjacent_pairs else (i, i + half)
            angle = torch.tensor((position + offset) * cfg.rotary_base ** (-2 * i / cfg.d_head), dtype=x.dtype)
            rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
            out[:, position, :, [a, b]] = x[:, position, :, [a, b]] @ rotation.T
    return out


@PAIRS
@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_every_pair_is_turned(
    adjacent: bool, compiling: bool, dtype: torch.dtype, atol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feature for feature, as the compiler sees it, and as complex numbers."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    cfg = replace(CFG, rotary_adjacent_pairs=adjacent)
    x = torch.randn(2, 7, cfg.n_heads, cfg.d_head, generator=torch.Generator().manual_seed(0)).to(dtype)
    turned = rotary(cfg)(x, 3)
    assert turned.dtype == dtype
    torch.testing.assert_close(turned.double(), turned_by_matrices(x.double(), cfg, 3), atol=atol, rtol=0)


@PAIRS
def test_gradients_turn_back(adjacent: bool) -> None:
    """A rotation is orthogonal: the gradient of <turned(x), g> is g turned back."""
    cfg = replace(CFG, rotary_adjacent_pairs=adjacent)
    turned, x = rotary(cfg), torch.randn(1, 5, cfg.n_heads, cfg.d_head, requires_grad=True)
    upstream = torch.randn_like(x)
    (turned(x, 0) * upstream).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(turned(x.grad, 0), upstream)


def test_one_table_serves_every_layer_and_is_not_saved() -> None:
    from grok_interp.models.transformer import Transformer

    model = Transformer(replace(CFG, n_layers=3))
    assert len({block.attn.rotary.cos.data_ptr() for block in model.blocks}) == 1
    assert not [name for name in model.state_dict() if "rotary" in name]
