"""How well points of one shape are found again on another, measured where the truth is known."""
