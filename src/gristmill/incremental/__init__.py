"""Incremental inference: after a small change of the input, only what it reaches is recomputed."""
