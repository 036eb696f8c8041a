"""What a figure says of checkpoints in which an audit found faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing


def flagged(drawing: Drawing, findings: Sequence[str]) -> Drawing:
    """The drawing with the findings in its title; itself where there are none.

    Args:
        drawing: of checkpoints.
        findings: of `audit`, each beginning with its kind.

    Example:
        >>> from grok_interp.plots.drawing import Drawing, Panel
        >>> from grok_interp.plots.marks import TRAINING_STEP, Axis
        >>> drawing = Drawing([Panel(TRAINING_STEP, Axis("loss", "nats"))])
        >>> flagged(drawing, ["gap: no checkpoint between steps 4 and 16: are files missing?"]).title
        'Audit of the checkpoints: 1 finding (gap)'
    """
    if not findings:
        return drawing
    kinds = ", ".join(dict.fromkeys(finding.partition(":")[0] for finding in findings))
    count = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
    title = f"Audit of the checkpoints: {count} ({kinds})"
    return replace(drawing, title=f"{drawing.title}. {title}" if drawing.title else title)
