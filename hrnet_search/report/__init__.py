"""What was learned: tables, plots and configs, read from a study that may still be running."""
