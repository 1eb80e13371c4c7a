"""Kernels in C, compiled for this machine when they are first wanted; without a compiler, none."""
