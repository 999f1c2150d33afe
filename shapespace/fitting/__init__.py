"""Fitting: the codes, and poses, of scans that were not trained on."""

from shapespace.config.options import Freedom
from shapespace.fitting.pose import Pose
from shapespace.fitting.reference import fit_codes_adam
from shapespace.fitting.refine import Refinement
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search, Stage

__all__ = ["FitResult", "Freedom", "Pose", "Refinement", "Search", "Stage", "fit_codes_adam"]
