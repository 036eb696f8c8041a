"""The claims of "Language Models 'Grok' to Copy", and one beyond it. verdicts.py tests them. Imports nothing heavy."""

from __future__ import annotations

from grok_interp.studies.claim import Claim
from grok_interp.studies.copying.experiments import BASELINE, BATCH_SIZE, LEARNING_RATE, REGULARIZATION

AFTER_THE_LOSS = Claim("Copying emerges after the loss has settled", "Figure 2", BASELINE)
BY_UPDATES = Claim("Copying emerges after a number of updates, whatever the number of tokens", "Figure 3", BATCH_SIZE)
LOSS_BY_TOKENS = Claim("The loss follows the number of tokens", "Figure 4", BATCH_SIZE)
EARLIER_AT_HIGHER_RATES = Claim("A larger learning rate makes copying emerge earlier", "Figure 5", LEARNING_RATE)
STRONGER_AT_HIGHER_RATES = Claim("A larger learning rate makes copying stronger", "Figure 5", LEARNING_RATE)
SHALLOW_TO_DEEP = Claim("Induction heads form from shallow to deep layers", "Figure 6", BASELINE)
REGULARIZERS = ("attention dropout", "weight decay")
BETTER_WITH = {
    name: Claim(f"{name.capitalize()} improves the final copying accuracy", "Figure 7", REGULARIZATION)
    for name in REGULARIZERS
}
EARLIER_WITH_DROPOUT = Claim("Attention dropout makes copying emerge earlier", "Figure 7", REGULARIZATION)
HEADS_THAT_COPY = Claim("The heads that I(L, H) finds do the copying", "beyond the paper", BASELINE)

CLAIMS = (
    AFTER_THE_LOSS,
    BY_UPDATES,
    LOSS_BY_TOKENS,
    EARLIER_AT_HIGHER_RATES,
    STRONGER_AT_HIGHER_RATES,
    SHALLOW_TO_DEEP,
    *BETTER_WITH.values(),
    EARLIER_WITH_DROPOUT,
    HEADS_THAT_COPY,
)
