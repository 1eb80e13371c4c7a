"""Runners: a bundle, loaded; the same object answers online, offline and on streams."""
