"""Baselines: reconstructions that every method has to beat.

:mod:`shapespace.baselines.shapes` takes a shape from the trained space that knows little of the
scan: the nearest training shape, and the mean shape. :mod:`shapespace.baselines.poisson` fits the
points of the scan without any trained space: screened Poisson reconstruction.
"""
