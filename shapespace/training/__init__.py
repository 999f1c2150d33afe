"""Training a space of shapes with PyTorch Lightning.

This package imports nothing, so that what needs no Lightning stays free of it.
"""
