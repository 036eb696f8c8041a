"""What the head scores mean, in one registry: formula, source, value for an ideal head and at chance.

The attention scores are means over the queries that have a target (see `head_attention`), so an ideal head scores 1.
A number means nothing without its formula: each entry says how TransformerLens' `detect_head` would count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.analysis.head_attention import (
    duplicate_token_targets,
    prefix_targets,
    previous_token_targets,
    uniform_attention,
)
from grok_interp.analysis.head_weights import (
    k_composition_with_previous_token,
    ov_circuits,
    ov_copying,
    qk_circuits,
)
from grok_interp.analysis.induction import eigenvalue_positivity
from grok_interp.models.activations import HookedModel
from grok_interp.plugins import HEAD_SCORE_GROUP, plugins

ELHAGE = "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits"
OLSSON = "Olsson et al. 2022, In-context Learning and Induction Heads, arXiv 2209.11895"
WANG = "Wang et al. 2022, Interpretability in the Wild, arXiv 2211.00593"
FRACTION_OF_QUERIES = "divides by the attention of all queries: this score times the fraction of queries with a target"
PATTERNS_ONLY = "reads patterns only and has no such score"


@dataclass(frozen=True, kw_only=True)
class HeadScore(ABC):
    """What a score means; numbers of different formulas are not comparable."""

    name: str
    formula: str
    source: str
    ideal: float
    ideal_head: str
    chance_head: str
    compared_to_detect_head: str

    @abstractmethod
    def chance(self, tokens: Int64[Tensor, "batch pos"], model: HookedModel) -> float:
        """The value of `chance_head` on these tokens, in a model of this size.

        Args:
            tokens: those that the score is measured on.
            model: of which only the sizes are read.
        """


@dataclass(frozen=True, kw_only=True)
class AttentionScore(HeadScore):
    """`attention_score` on some targets, between 0 and 1."""

    targets: Callable[[Tensor], Bool[Tensor, "batch query key"]]
    ideal: float = 1.0
    chance_head: str = "looks equally at all tokens so far"

    def chance(self, tokens: Int64[Tensor, "batch pos"], model: HookedModel) -> float:  # noqa: ARG002
        return uniform_attention(self.targets(tokens))


@dataclass(frozen=True, kw_only=True)
class WeightScore(HeadScore):
    """A function of the weights, of the tokens that are looked at, and of the attention scores that it `needs`."""

    measure: Callable[[HookedModel, Tensor, Mapping[str, Tensor]], Float[Tensor, "layer head"]]
    chance_in: Callable[[Any], float]
    needs: tuple[str, ...] = ()

    def chance(self, tokens: Int64[Tensor, "batch pos"], model: HookedModel) -> float:  # noqa: ARG002
        return self.chance_in(model)


_ALL: tuple[HeadScore, ...] = (
    AttentionScore(
        name="previous_token",
        formula="mean over queries q >= 1 of A[q, q - 1]",
        source=ELHAGE,
        ideal_head="looks one token back, always",
        compared_to_detect_head=f"previous_token_head {FRACTION_OF_QUERIES}, (pos - 1) / pos",
        targets=previous_token_targets,
    ),
    AttentionScore(
        name="duplicate_token",
        formula="mean over queries q whose token came before of sum over k < q with t[k] = t[q] of A[q, k]",
        source=WANG,
        ideal_head="looks only at earlier occurrences of its token, where there are any",
        compared_to_detect_head=f"duplicate_token_head {FRACTION_OF_QUERIES}, about 1/2 on tokens repeated once",
        targets=duplicate_token_targets,
    ),
    AttentionScore(
        name="prefix_matching",
        formula="mean over queries q whose token came before of sum over k <= q with t[k - 1] = t[q] of A[q, k]",
        source=OLSSON,
        ideal_head="looks only at what followed earlier occurrences of its token, where there are any",
        compared_to_detect_head=f"induction_head {FRACTION_OF_QUERIES}, about 1/2 on tokens repeated once",
        targets=prefix_targets,
    ),
    WeightScore(
        name="ov_copying",
        formula="fraction of the tokens t whose row of W_E W_V W_O W_U is largest at t",
        source=f"{WANG}: its copy score, with the first logit for the first five and no MLP before the head",
        ideal=1.0,
        ideal_head="raises the logit of the token looked at above all others, whichever it is",
        chance_head="random, no token preferred: 1 / d_vocab",
        compared_to_detect_head=PATTERNS_ONLY,
        measure=lambda model, tokens, _: ov_copying(model, tokens),
        chance_in=lambda model: 1 / model.W_U.shape[1],
    ),
    WeightScore(
        name="ov_positivity",
        formula="sum(lambda) / sum(|lambda|) over the eigenvalues of W_E W_V W_O W_U; EP of induction_scores",
        source=ELHAGE,
        ideal=1.0,
        ideal_head="copies: every eigenvalue positive (-1: every one negative)",
        chance_head="random, either sign of W_V equally likely: 0 on average",
        compared_to_detect_head=PATTERNS_ONLY,
        measure=lambda model, *_: eigenvalue_positivity(ov_circuits(model)),
        chance_in=lambda _: 0.0,
    ),
    WeightScore(
        name="qk_positivity",
        formula="sum(lambda) / sum(|lambda|) over the eigenvalues of W_E W_Q W_K^T W_E^T",
        source=ELHAGE,
        ideal=1.0,
        ideal_head="prefers keys of its own token: every eigenvalue positive (-1: every one negative)",
        chance_head="random, either sign of W_Q equally likely: 0 on average",
        compared_to_detect_head=PATTERNS_ONLY,
        measure=lambda model, *_: eigenvalue_positivity(qk_circuits(model)),
        chance_in=lambda _: 0.0,
    ),
    WeightScore(
        name="k_composition",
        formula="|W_V W_O W_K W_Q^T| / (|W_V W_O| |W_K W_Q^T|), Frobenius; W_V and W_O are those of the earlier head "
        "with the largest previous_token; 0 in layer 0",
        source=ELHAGE,
        ideal=1.0,
        ideal_head="reads with its keys the one direction that the earlier head writes, both circuits of rank one; "
        "where r equal directions meet the value is 1 / sqrt(r)",
        chance_head="turned at random against the earlier head: 1 / sqrt(d_model) in root mean square",
        compared_to_detect_head=f"{PATTERNS_ONLY}; all_composition_scores('K') has the same number for any two heads",
        measure=lambda model, _, found: k_composition_with_previous_token(model, found["previous_token"]),
        chance_in=lambda model: model.W_E.shape[1] ** -0.5,
        needs=("previous_token",),
    ),
)
OWN = {score.name: score for score in _ALL}


class HeadScoreRegistry(Mapping[str, HeadScore]):
    """Name -> score: the package's own, then those of other packages, which are loaded when they are first needed."""

    def __getitem__(self, name: str) -> HeadScore:
        return OWN[name] if name in OWN else self._brought()[name]

    def __iter__(self) -> Iterator[str]:
        yield from OWN
        yield from self._brought()

    def __len__(self) -> int:
        return len(OWN) + len(self._brought())

    @staticmethod
    def _brought() -> Mapping[str, HeadScore]:
        return plugins(HEAD_SCORE_GROUP, HeadScore, taken=OWN)


HEAD_SCORES = HeadScoreRegistry()
