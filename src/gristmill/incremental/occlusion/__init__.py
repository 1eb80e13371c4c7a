"""Explanations by occlusion: what a network answers when parts of a picture are covered."""
