"""In which precision a training step multiplies matrices.

bfloat16 and float16 are autocast: weights, optimizer and attention's softmax stay in float32. On a CPU all of
attention stays in float32, because the backward pass of its bfloat16 kernel is several times slower than that of the
float32 one.

Gradients in float16 underflow, so the loss is multiplied by a scale that doubles every 2,000 updates. An update whose
gradient overflows is left out and halves the scale: the step counts, its gradient norm is logged as 0.
"""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16", "float16"]
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
SMALLEST_SCALE = 1.0
CPU_FEATURES = {"avx512_bf16", "amx_bf16", "arm_bf16", "bf16"}  # instructions that multiply bfloat16 numbers


def resolve_precision(wanted: Literal["auto", "float32", "bfloat16", "float16"], device: torch.device) -> Precision:
    """`auto` is bfloat16 where the device multiplies it natively, otherwise float32.

    Args:
        wanted: as a configuration says it.
        device: where it trains.
    """
    if wanted == "auto":
        return "bfloat16" if multiplies_bfloat16(device) else "float32"
    return wanted


def multiplies_bfloat16(device: torch.device) -> bool:
    """Does the device multiply bfloat16 in hardware?

    Args:
        device: of the training.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    return any(present and feature in CPU_FEATURES for feature, present in torch.cpu.get_capabilities().items())


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context of a forward pass; it changes nothing in float32.

    Args:
        device: of the training.
        precision: float32, bfloat16 or float16.
    """
    return torch.autocast(device.type, dtype=HALF.get(precision), enabled=precision in HALF)


def loss_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Of a run. It does nothing but in float16.

    Args:
        device: where it trains.
        precision: of the matrix products.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")
