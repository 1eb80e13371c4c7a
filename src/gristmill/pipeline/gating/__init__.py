"""The gate between a trained candidate and what it would replace."""
