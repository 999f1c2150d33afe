"""Baselines: reconstructions that every method has to beat.

:mod:`shapespace.baselines.shapes` takes a shape from the trained space that knows little of the
scan: the nearest training shape, and the mean shape. Two fit the points of the scan without any
trained space: :mod:`shapespace.baselines.poisson`, screened Poisson reconstruction, and
:mod:`shapespace.baselines.deep_geometric_prior`, patches that are networks.
:mod:`shapespace.baselines.atlasnet` is a space of shapes without a field.
"""
