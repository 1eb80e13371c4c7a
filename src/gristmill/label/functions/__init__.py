"""Labelling functions, and what asks them about every row."""
