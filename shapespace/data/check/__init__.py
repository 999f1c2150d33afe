"""Check of scans before training: measurements of each scan, and findings with remedies."""

from shapespace.data.check.finding import Finding
from shapespace.data.check.measurements import Component, ScanFacts
from shapespace.data.check.report import CheckReport
from shapespace.data.check.run import check_scans

__all__ = ["CheckReport", "Component", "Finding", "ScanFacts", "check_scans"]
