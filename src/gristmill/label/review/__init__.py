"""Reviewing labels: which rows an expert should see, and keeping what the expert says."""
