"""How far a search trains: to the end, to a rung, or by a short schedule first."""
