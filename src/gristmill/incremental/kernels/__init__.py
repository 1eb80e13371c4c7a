"""Kernels whose result for a rectangle equals that of the whole map bit for bit."""
