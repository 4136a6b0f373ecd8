"""What every room shares: data, schedules, latencies, trials, objectives, and their names.

The names of data kinds, samplers and objectives are here, where the reader of space.yaml may see
them; each implementing table is held equal to them by a test.
"""
