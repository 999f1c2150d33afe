"""Objectives of distances that were measured around each scan, or of samples of level sets."""
