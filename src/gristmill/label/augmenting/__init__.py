"""More training rows out of those there are: transformation functions and their policies."""
