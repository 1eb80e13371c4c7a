"""Training jobs: what a trial is, the plain loop, and the machine that runs many trials exactly."""
