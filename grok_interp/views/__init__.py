"""One file per kind of picture: a result in, a Figure or HTML out. Views draw and compute nothing."""

from grok_interp.views.ablation import ablation_twin, plot_ablation
from grok_interp.views.attention import AttentionView, attention_view
from grok_interp.views.comparison import conditions_twin, plot_conditions
from grok_interp.views.copying import copying_twin, plot_copying_and_loss
from grok_interp.views.formation import formation_twin, plot_formation
from grok_interp.views.heads import head_map_twin, plot_head_map
from grok_interp.views.natural_copying import plot_natural_copying
from grok_interp.views.single_heads import plot_single_heads, single_heads_twin

__all__ = [
    "AttentionView",
    "ablation_twin",
    "attention_view",
    "conditions_twin",
    "copying_twin",
    "formation_twin",
    "head_map_twin",
    "plot_ablation",
    "plot_conditions",
    "plot_copying_and_loss",
    "plot_formation",
    "plot_head_map",
    "plot_natural_copying",
    "plot_single_heads",
    "single_heads_twin",
]
