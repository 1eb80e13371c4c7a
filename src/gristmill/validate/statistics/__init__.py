"""States that add up, and the figures computed from them."""
