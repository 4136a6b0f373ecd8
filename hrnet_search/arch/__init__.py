"""What a network is: its structure, its exact cost and its yaml, without building it."""
