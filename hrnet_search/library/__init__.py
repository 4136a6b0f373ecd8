"""The HRNet library as a target: what its readers and its trainer take of a study."""
