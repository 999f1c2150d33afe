"""Pinhole cameras, their files, and the images that they take: depth and masks."""
