"""Which requests run together, when, and which can't be: pure, time is an argument."""
