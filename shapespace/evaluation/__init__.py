"""Evaluation of reconstructions: distances, scores of each shape, summaries and tables."""
