"""shapespace: spaces of shapes from raw 3D scans.

Every name below is imported on first use, so that ``import shapespace`` and ``shapespace --help``
cost nothing.
"""

import importlib
from typing import TYPE_CHECKING

from shapespace.version import __version__ as __version__

_HOME = {
    "Scan": "scan",
    "Samples": "scan",
    "Frame": "scan",
    "ScanStore": "data.store.store",
    "prepare": "data.prepare.run",
    "Decoder": "decoders.base",
    "Field": "decoders.base",
    "SkipMLP": "decoders.mlp",
    "value_and_gradient": "decoders.base",
    "Objective": "objectives.base",
    "IGR": "objectives.igr",
    "Sampler": "sampling",
    "NearSurface": "sampling",
    "LatentCodes": "codes",
    "TrainedSpace": "space",
    "FitResult": "fitting.result",
    "train": "training.cli",
    "extract_mesh": "surface.mesh",
    "InputError": "errors",
}
"""Public name -> the module that defines it."""

if TYPE_CHECKING:
    from shapespace.codes import LatentCodes
    from shapespace.data.prepare.run import prepare
    from shapespace.data.store.store import ScanStore
    from shapespace.decoders.base import Decoder, Field, value_and_gradient
    from shapespace.decoders.mlp import SkipMLP
    from shapespace.errors import InputError
    from shapespace.fitting.result import FitResult
    from shapespace.objectives.base import Objective
    from shapespace.objectives.igr import IGR
    from shapespace.sampling import NearSurface, Sampler
    from shapespace.scan import Frame, Samples, Scan
    from shapespace.space import TrainedSpace
    from shapespace.surface.mesh import extract_mesh
    from shapespace.training.cli import train

__all__ = [
    "IGR",
    "Decoder",
    "Field",
    "FitResult",
    "Frame",
    "InputError",
    "LatentCodes",
    "NearSurface",
    "Objective",
    "Sampler",
    "Samples",
    "Scan",
    "ScanStore",
    "SkipMLP",
    "TrainedSpace",
    "extract_mesh",
    "prepare",
    "train",
    "value_and_gradient",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'shapespace' has no attribute {name!r}")
    return getattr(importlib.import_module(f"shapespace.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
