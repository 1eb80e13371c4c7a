"""Deciding what to recompute: what it costs on this machine, and the cheapest way for a frame."""
