"""Objectives of second derivatives of the field, which learn from points without normals."""
