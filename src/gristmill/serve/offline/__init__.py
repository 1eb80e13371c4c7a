"""Batch prediction: a table in, one row of answers for each of its rows out."""
