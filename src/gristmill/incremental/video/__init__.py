"""Frames from files, cameras and folders of pictures; videos with what was recomputed drawn in."""
