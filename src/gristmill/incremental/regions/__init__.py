"""Places of a map that changed: rectangles, what they reach and what a result needs."""
