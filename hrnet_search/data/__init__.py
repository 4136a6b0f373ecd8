"""What a variant is trained and judged on: data-set kinds, preflight, batches."""
