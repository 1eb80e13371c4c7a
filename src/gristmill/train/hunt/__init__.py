"""Model selection: which trials run, pause, go on and stop, whoever trains them."""
