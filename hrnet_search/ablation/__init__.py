"""Designs and statistics of ablations."""
