"""How a network is built: the HRNet module and the weight files that fit it."""
