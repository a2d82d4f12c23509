"""The averages that samplers with a state promise, and the quality of the noise."""
