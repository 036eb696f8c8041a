"""Frozen configurations: what a model is, what it reads, how it is trained.

Field names are TransformerLens' own wherever it has one. A configuration refuses nonsense with all its reasons at once,
never seeds anything and imports nothing heavy, so that `grok-interp --help` is instant.
"""

from grok_interp.configs.data import DataConfig as DataConfig
from grok_interp.configs.model import ModelConfig as ModelConfig
from grok_interp.configs.model import llama_copier as llama_copier
from grok_interp.configs.model import modular_gpt as modular_gpt
from grok_interp.configs.modular import ModularConfig as ModularConfig
from grok_interp.configs.text import BYTE_VOCABULARY_SIZE as BYTE_VOCABULARY_SIZE
from grok_interp.configs.text import TextConfig as TextConfig
from grok_interp.configs.training import TrainConfig as TrainConfig
