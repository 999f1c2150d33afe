"""People made from formulas: who, how they stand, what they are made of, their distance."""
