"""Which weak labels to train on."""
