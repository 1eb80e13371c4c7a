"""From calls of an exported program to operators: one rule for each kind of call."""
