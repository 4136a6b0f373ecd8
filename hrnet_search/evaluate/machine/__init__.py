"""The machine: devices, their load, memory and who has them."""
