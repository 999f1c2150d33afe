"""The codes of scans that were not trained on."""

from shapespace.fitting.published import FitResult, fit_codes

__all__ = ["FitResult", "fit_codes"]
