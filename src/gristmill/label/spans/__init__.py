"""Span tagging: who says which stretch of a document is what, and what to believe."""
