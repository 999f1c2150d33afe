"""Unseen scans to meshes: read, fitted, meshed, written, recorded."""
