"""What may be tried: choices around a base architecture, and limits."""
