"""grok_interp: when does an in-context ability appear, which heads carry it, and by what algorithm?

The public names, loaded when they are first used: importing the package is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grok_interp import plots as plots
    from grok_interp import studies as studies
    from grok_interp.analysis.ablated_model import ablated as ablated
    from grok_interp.analysis.ablation import head_ablation as head_ablation
    from grok_interp.analysis.agreement import algorithm_agreement as algorithm_agreement
    from grok_interp.analysis.algorithms import modular_regression as modular_regression
    from grok_interp.analysis.algorithms import ratio_matching as ratio_matching
    from grok_interp.analysis.attention import attention_maps as attention_maps
    from grok_interp.analysis.circles import circle_pca as circle_pca
    from grok_interp.analysis.circularity import circularity as circularity
    from grok_interp.analysis.comparison import training_curves as training_curves
    from grok_interp.analysis.copying import copying_accuracy as copying_accuracy
    from grok_interp.analysis.copying_diagram import copying_diagram as copying_diagram
    from grok_interp.analysis.embedding import embedding_pca as embedding_pca
    from grok_interp.analysis.emergence import emergence as emergence
    from grok_interp.analysis.formation import formation_order as formation_order
    from grok_interp.analysis.fourier import fourier_spectrum as fourier_spectrum
    from grok_interp.analysis.fourier_loss import fourier_losses as fourier_losses
    from grok_interp.analysis.fourier_top import top_frequency_fraction as top_frequency_fraction
    from grok_interp.analysis.grid import grid_comparison as grid_comparison
    from grok_interp.analysis.grid import grid_comparisons as grid_comparisons
    from grok_interp.analysis.head_registry import HEAD_SCORES as HEAD_SCORES
    from grok_interp.analysis.head_scores import head_scores as head_scores
    from grok_interp.analysis.induction import induction_scores as induction_scores
    from grok_interp.analysis.kaleidoscope import kaleidoscope as kaleidoscope
    from grok_interp.analysis.leading_indicators import indicator_scores as indicator_scores
    from grok_interp.analysis.leading_indicators import leading_indicators as leading_indicators
    from grok_interp.analysis.loss import position_losses as position_losses
    from grok_interp.analysis.mlp import mlp_activations as mlp_activations
    from grok_interp.analysis.natural_copying import natural_copying as natural_copying
    from grok_interp.analysis.phase_diagram import phase_diagram as phase_diagram
    from grok_interp.analysis.phases import phase as phase
    from grok_interp.analysis.shots import shot_curve as shot_curve
    from grok_interp.analysis.similarity import cosine_similarity as cosine_similarity
    from grok_interp.configs import DataConfig as DataConfig
    from grok_interp.configs import ModelConfig as ModelConfig
    from grok_interp.configs import ModularConfig as ModularConfig
    from grok_interp.configs import TextConfig as TextConfig
    from grok_interp.configs import TrainConfig as TrainConfig
    from grok_interp.configs import llama_copier as llama_copier
    from grok_interp.configs import modular_gpt as modular_gpt
    from grok_interp.data.copying import CopyTask as CopyTask
    from grok_interp.data.copying import repeated_tokens as repeated_tokens
    from grok_interp.data.document_windows import document_windows as document_windows
    from grok_interp.data.modular import ModularTasks as ModularTasks
    from grok_interp.data.slot import slot_sequences as slot_sequences
    from grok_interp.models.interchange import from_huggingface as from_huggingface
    from grok_interp.models.interchange import to_huggingface as to_huggingface
    from grok_interp.models.processing import processing_of as processing_of
    from grok_interp.models.published import from_published as from_published
    from grok_interp.models.published import to_published as to_published
    from grok_interp.models.published_names import published_file as published_file
    from grok_interp.models.torch_adapter import TorchAdapter as TorchAdapter
    from grok_interp.models.transformer import Transformer as Transformer
    from grok_interp.models.transformer_lens import to_hooked_transformer as to_hooked_transformer
    from grok_interp.models.weights_of import weights_of as weights_of
    from grok_interp.plots.attention import AttentionView as AttentionView
    from grok_interp.plots.attention import attention_view as attention_view
    from grok_interp.plots.paper import on_paper as on_paper
    from grok_interp.plots.registry import draw as draw
    from grok_interp.plots.screen import on_screen as on_screen
    from grok_interp.presets import PRESETS as PRESETS
    from grok_interp.presets import TRAINING_PRESETS as TRAINING_PRESETS
    from grok_interp.presets import preset as preset
    from grok_interp.presets import training_preset as training_preset
    from grok_interp.reference import load_reference as load_reference
    from grok_interp.runs.audit import audit as audit
    from grok_interp.runs.ensemble import run_ensemble as run_ensemble
    from grok_interp.runs.ensemble import train_ensemble as train_ensemble
    from grok_interp.runs.evaluations import StopTraining as StopTraining
    from grok_interp.runs.evaluations import evaluations as evaluations
    from grok_interp.runs.hub_push import push as push
    from grok_interp.runs.record import is_run as is_run
    from grok_interp.runs.revision_names import training_point as training_point
    from grok_interp.runs.run import Run as Run
    from grok_interp.runs.run_training import run_training as run_training
    from grok_interp.runs.series import CheckpointSeries as CheckpointSeries
    from grok_interp.training.loop import train as train
    from grok_interp.training.own_optimizer import OwnOptimizer as OwnOptimizer

_HOME = {
    "configs": (
        "DataConfig",
        "ModelConfig",
        "ModularConfig",
        "TextConfig",
        "TrainConfig",
        "llama_copier",
        "modular_gpt",
    ),
    "presets": ("PRESETS", "TRAINING_PRESETS", "preset", "training_preset"),
    "data.copying": ("CopyTask", "repeated_tokens"),
    "models.torch_adapter": ("TorchAdapter",),
    "models.transformer": ("Transformer",),
    "models.transformer_lens": ("to_hooked_transformer",),
    "models.interchange": ("from_huggingface", "to_huggingface"),
    "training.loop": ("train",),
    "training.own_optimizer": ("OwnOptimizer",),
    "runs.record": ("is_run",),
    "runs.run": ("Run",),
    "runs.audit": ("audit",),
    "runs.evaluations": ("StopTraining", "evaluations"),
    "runs.hub_push": ("push",),
    "runs.revision_names": ("training_point",),
    "runs.series": ("CheckpointSeries",),
    "runs.run_training": ("run_training",),
    "runs.ensemble": ("run_ensemble", "train_ensemble"),
    "analysis.loss": ("position_losses",),
    "analysis.copying": ("copying_accuracy",),
    "analysis.copying_diagram": ("copying_diagram",),
    "analysis.induction": ("induction_scores",),
    "analysis.formation": ("formation_order",),
    "analysis.attention": ("attention_maps",),
    "analysis.ablated_model": ("ablated",),
    "analysis.ablation": ("head_ablation",),
    "analysis.comparison": ("training_curves",),
    "analysis.emergence": ("emergence",),
    "analysis.head_registry": ("HEAD_SCORES",),
    "analysis.head_scores": ("head_scores",),
    "analysis.leading_indicators": ("indicator_scores", "leading_indicators"),
    "analysis.agreement": ("algorithm_agreement",),
    "analysis.algorithms": (
        "modular_regression",
        "ratio_matching",
    ),
    "analysis.circles": ("circle_pca",),
    "analysis.circularity": ("circularity",),
    "analysis.embedding": ("embedding_pca",),
    "analysis.fourier": ("fourier_spectrum",),
    "analysis.fourier_loss": ("fourier_losses",),
    "analysis.fourier_top": ("top_frequency_fraction",),
    "analysis.grid": ("grid_comparison", "grid_comparisons"),
    "analysis.kaleidoscope": ("kaleidoscope",),
    "analysis.mlp": ("mlp_activations",),
    "analysis.natural_copying": ("natural_copying",),
    "analysis.phase_diagram": ("phase_diagram",),
    "analysis.phases": ("phase",),
    "analysis.shots": ("shot_curve",),
    "analysis.similarity": ("cosine_similarity",),
    "data.document_windows": ("document_windows",),
    "data.modular": ("ModularTasks",),
    "data.slot": ("slot_sequences",),
    "models.published": (
        "from_published",
        "to_published",
    ),
    "models.processing": ("processing_of",),
    "models.published_names": ("published_file",),
    "models.weights_of": ("weights_of",),
    "reference": ("load_reference",),
    "plots.attention": ("AttentionView", "attention_view"),
    "plots.paper": ("on_paper",),
    "plots.registry": ("draw",),
    "plots.screen": ("on_screen",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_SUBPACKAGES = ("plots", "studies")

__all__ = sorted([*_MODULE_OF, *_SUBPACKAGES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"grok_interp.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'grok_interp' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"grok_interp.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
