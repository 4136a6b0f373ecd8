"""Trainings in full: a config, or a trial of a study, trained as a folder of its own."""
