"""What a run says of itself on a hub: a record for programs and a model card for readers. Neither names local paths."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grok_interp.places import HUB
from grok_interp.runs.run import Run

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- grok-interp
- mechanistic-interpretability
- training-dynamics
---

# {name}

{n_checkpoints} checkpoints of one training run of grok_interp, a revision for each: `step0` is the initialization,
`main` is step {last:,}. They are meant for the study of how abilities emerge during training, not for use.

| | |
| --- | --- |
| parameters | {n_params:,}: {n_layers} layers, {n_heads} heads, d_model {d_model} |
| context | {n_ctx} tokens, vocabulary of {d_vocab:,} |
| trained on | {data} |
| updates | {n_steps:,} of {batch_size} sequences ({tokens_per_step:,} tokens) |
| optimizer | {optimizer}, learning rate {learning_rate:g} |
| seeds | initialization {init_seed}, data {data_seed} |
{interventions}
Steps: {steps}.

```python
from grok_interp import CheckpointSeries, induction_scores, repeated_tokens

series = CheckpointSeries.from_hub("{repository}")
print(induction_scores(series, repeated_tokens(n_sequences=8, half=16, alphabet=range({d_vocab}), seed=0)))
```

```python
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("{repository}", revision="step{first}")
```

`grok_interp.json` has the whole configuration, and the SHA-256 of the training data. Weights are float32; logits are
those of the run's checkpoints to rounding.
"""


def published_record(run: Run) -> dict[str, Any]:
    """The configuration of a run as it may be published: of a local path only the last part.

    Raises ValueError for a run with checkpoints from elsewhere.
    """
    train = run.config.to_dict()
    train["data"] = {name: _without_folders(value) for name, value in train["data"].items()}
    record = {"grok_interp": importlib.metadata.version("grok-interp"), "train": train, "data": {"hash": run.data_hash}}
    return record | {"execution": asdict(run.execution) if run.execution else None}


def _without_folders(value: Any) -> Any:
    is_path = isinstance(value, str) and not value.startswith(HUB) and ("/" in value or value.startswith("~"))
    return Path(value).name if is_path else value


def model_card(run: Run, repository: str) -> str:
    """README.md of the repository."""
    config, steps = run.config, run.steps
    interventions = "".join(f"| intervention | {each} |\n" for each in config.intervene)
    values: dict[str, Any] = {**asdict(config), **asdict(config.model)}
    values |= dict(
        name=repository.partition("/")[2],
        repository=repository,
        n_checkpoints=f"{len(steps):,}",
        first=steps[0],
        last=steps[-1],
        steps=", ".join(map(str, steps)),
        data=_data(run),
        interventions=interventions,
        n_params=run.model.n_params,
        tokens_per_step=config.tokens_per_step,
    )
    return CARD.format_map(values)


def _data(run: Run) -> str:
    values = published_record(run)["train"]["data"]
    what = f"{values['kind']}: {values['source']}" if "source" in values else values["kind"]
    return f"{what} (SHA-256 {run.data_hash[:12]})"
