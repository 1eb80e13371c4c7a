"""Ordinal classes: grades, of which a neighbour is a smaller mistake than a stranger."""
