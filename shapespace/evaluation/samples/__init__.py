"""New shapes drawn from a prior over codes, and how good and how new they are."""
