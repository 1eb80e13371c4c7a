"""Carrying out one frame: what is kept between frames, and bringing it up to date."""
