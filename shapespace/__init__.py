"""shapespace: spaces of shapes from raw 3D scans.

Every name below is imported on first use, so that ``import shapespace`` and ``shapespace --help``
cost nothing.
"""

import importlib
from typing import TYPE_CHECKING

from shapespace.version import __version__ as __version__

_HOME = {
    "Frame": "scan",
    "Samples": "scan",
    "Scan": "scan",
    "Decoder": "decoders",
    "Field": "decoders",
    "SkipMLP": "decoders",
    "Objective": "objectives",
    "IGR": "objectives",
    "NearSurface": "sampling",
    "LatentCodes": "codes",
    "ScanStore": "data.store",
    "prepare": "data.prepare",
    "fit_codes": "fitting",
    "FitResult": "fitting",
    "Search": "fitting",
    "extract_mesh": "surface.mesh",
    "chamfer": "evaluation.metrics",
    "TrainedSpace": "space",
    "InputError": "errors",
}

if TYPE_CHECKING:
    from shapespace.codes import LatentCodes
    from shapespace.data.prepare.run import prepare
    from shapespace.data.store.store import ScanStore
    from shapespace.decoders.base import Decoder, Field
    from shapespace.decoders.mlp import SkipMLP
    from shapespace.errors import InputError
    from shapespace.evaluation.metrics import chamfer
    from shapespace.fitting.reference import fit_codes
    from shapespace.fitting.result import FitResult
    from shapespace.fitting.search import Search
    from shapespace.objectives.base import Objective
    from shapespace.objectives.igr import IGR
    from shapespace.sampling import NearSurface
    from shapespace.scan import Frame, Samples, Scan
    from shapespace.space import TrainedSpace
    from shapespace.surface.mesh import extract_mesh

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
    "Samples",
    "Scan",
    "ScanStore",
    "Search",
    "SkipMLP",
    "TrainedSpace",
    "chamfer",
    "extract_mesh",
    "fit_codes",
    "prepare",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'shapespace' has no attribute {name!r}")
    return getattr(importlib.import_module(f"shapespace.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
