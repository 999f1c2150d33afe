"""Synthetic people: bodies with a known signed distance, and a virtual scanner."""
