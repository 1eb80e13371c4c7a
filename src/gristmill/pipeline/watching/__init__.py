"""Videos through a bundle of images: which frames, their rows, the changes drawn in."""
