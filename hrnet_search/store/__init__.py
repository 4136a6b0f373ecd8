"""A study on disk: one SQLite file is the truth, one driver writes it, anybody reads it."""
