"""Readers of point clouds, one file a format, and what their columns mean."""
