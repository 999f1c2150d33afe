"""Whether scans are fit to train on: what is measured of each, and what is wrong with it."""

from shapespace.data.check.measurements import Piece, ScanFacts
from shapespace.data.check.report import CheckReport
from shapespace.data.check.rules import Finding
from shapespace.data.check.run import check_scans

__all__ = ["CheckReport", "Finding", "Piece", "ScanFacts", "check_scans"]
