"""Where samples lie: the latent space, its gaps, and how diverse a dataset is in it."""
