"""Training: a trial from its first step to what is kept of it."""
