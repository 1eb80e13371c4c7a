"""Processes that work for this one: born by forking, with words for how they ended.

A new `interpreter` with modules loaded forks each `child`, which takes its `place` on the machine;
`packets` carry messages and descriptors; a `failure` is an error in one, a `death` how one ended.
"""
