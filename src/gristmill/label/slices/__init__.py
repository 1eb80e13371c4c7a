"""Slices: named sets of rows that matter, and how well things go on each."""
