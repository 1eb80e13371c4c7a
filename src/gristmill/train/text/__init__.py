"""Models of text, and settings that suit them."""
