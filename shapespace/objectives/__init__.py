"""Objectives: the same terms train a space, fit the code of an unseen scan and validate."""

from shapespace.objectives.base import Objective
from shapespace.objectives.igr import IGR
from shapespace.objectives.reference import PublishedIGR

__all__ = ["IGR", "Objective", "PublishedIGR"]
