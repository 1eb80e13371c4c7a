"""Which model answers, learnt from feedback: policies, their log, replay on logged data."""
