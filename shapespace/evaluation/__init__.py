"""How good reconstructions are: distances, scores, tables."""
