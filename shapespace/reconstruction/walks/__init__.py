"""Walks through a space: their paths, what their shapes are like, one mesh carried along."""
