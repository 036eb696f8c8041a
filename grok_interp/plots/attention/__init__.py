"""Attention in the browser: all heads small, one large by circuitsvis, over checkpoints, without a network."""

from grok_interp.plots.attention.assets import attention_assets
from grok_interp.plots.attention.view import AttentionView, attention_view

__all__ = ["AttentionView", "attention_assets", "attention_view"]
