"""Which device to use, asked for by name."""

from __future__ import annotations


def choose_device(name: str) -> str:
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises ValueError for a device that this torch does not see.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    present = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    present += ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if name not in present:
        raise ValueError(
            f"device {name!r} was asked for, torch {torch.__version__} sees {', '.join(present)}: take one of these, "
            "or install a torch build and driver for it (`grok-interp doctor` shows what is there)"
        )
    return name
