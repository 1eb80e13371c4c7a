"""Workers: what devices there are, and the processes that work for them, one for each."""
