"""Triangle meshes and rays; no fields."""
