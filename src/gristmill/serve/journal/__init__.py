"""Journal: what a server writes down: segments of records, names of predictions, keys."""
