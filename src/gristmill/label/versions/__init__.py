"""Versions of labels: where each label is from, and what changed between two versions."""
