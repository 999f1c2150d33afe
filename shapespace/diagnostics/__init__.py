"""Sampled diagnostics of a trained field: how far the field is from a signed distance."""
