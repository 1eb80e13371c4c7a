"""The operators of a captured network, one family per file."""
