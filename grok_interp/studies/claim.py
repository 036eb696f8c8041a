"""Claims of a paper: what is claimed and which runs decide it; and what came out. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from grok_interp.studies.experiment import Experiment

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"


@dataclass(frozen=True)
class Claim:
    """What is claimed. `grok-interp list claims` shows those of every study.

    Args:
        text: one sentence.
        source: the figure of the paper, or "beyond the paper".
        experiment: the runs that decide it.
    """

    text: str
    source: str
    experiment: Experiment

    def judged(self, measure: str, verdict: str, evidence: str, *counts: int | None) -> JudgedClaim:
        """With what came out.

        Args:
            measure: what was measured.
            verdict: supported, not supported or undecided.
            evidence: the numbers, in words.
            counts: the numbers of seeds and runs, in the order of `JudgedClaim`.
        """
        return JudgedClaim(self.text, self.source, measure, verdict, evidence, *counts)


@dataclass(frozen=True)
class JudgedClaim:
    """A claim at the size that was run.

    Args:
        text: the claim.
        source: the figure of the paper, or "beyond the paper".
        measure: by which it is judged.
        verdict: "supported", "not supported" or "undecided".
        evidence: the numbers, in words.
        seeds: how many were trained.
        seeds_needed: how many decide it with a power of 80% if the effect is as observed; None if unknown.
        seeds_needed_half: the same if the effect is half as far from the boundary.
        runs_trained: of all conditions that are compared.
        runs_used: those of them that the number comes from; the others have no value, or no other run of
            their seed has one to compare with.
    """

    text: str
    source: str
    measure: str
    verdict: str
    evidence: str
    seeds: int | None = None
    seeds_needed: int | None = None
    seeds_needed_half: int | None = None
    runs_trained: int | None = None
    runs_used: int | None = None
