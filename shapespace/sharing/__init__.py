"""Spaces for others: folders without pickle, fields for other programs."""
