"""A training step as a CUDA graph: recorded once, then launched as a whole.

A step of a small model is a thousand kernels of a few microseconds each, and launching them one by one takes Python
longer than the GPU needs to run them. A graph launches all of them at once. The kernels and their order are the same,
so the numbers are too. What changes from step to step has to be in tensors: the batch and the learning rates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor], tuple[Tensor, ...]]
CALLS_BEFORE = 3  # made without a graph: they compile, choose kernels and allocate what stays


class GraphedStep:
    """`step`, recorded at its fourth call and replayed from then on; all calls must take batches of one shape.

    A hook that is added to the model after the recording is not seen. Nothing in the step may read a number from the
    GPU or draw random numbers.
    """

    def __init__(self, step: Step) -> None:
        self.step, self.n_calls, self.stream = step, 0, torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        if self.graph is None and self.n_calls < CALLS_BEFORE:
            self.n_calls += 1
            return self._directly(batch)
        if self.graph is None:
            self.graph = self._recorded(batch)
        self.batch.copy_(batch)
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)

    def _directly(self, batch: Tensor) -> tuple[Tensor, ...]:
        """On the stream that records later: gradients remember the stream on which they were first made."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            outputs = self.step(batch)
        torch.cuda.current_stream().wait_stream(self.stream)
        return outputs

    def _recorded(self, batch: Tensor) -> torch.cuda.CUDAGraph:
        """Recording runs nothing: the caller replays it for this batch as well."""
        self.batch, graph = batch.clone(), torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=self.stream):
            self.outputs = self.step(self.batch)
        return graph


def graphed(step: Step, device: torch.device) -> Step:
    """`step` as a CUDA graph; on a CPU as it is."""
    return GraphedStep(step) if device.type == "cuda" else step
