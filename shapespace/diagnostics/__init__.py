"""How far a field is from a signed distance."""
