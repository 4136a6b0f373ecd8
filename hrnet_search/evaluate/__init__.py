"""How a network is judged: trained, evaluated, and its latency measured."""
