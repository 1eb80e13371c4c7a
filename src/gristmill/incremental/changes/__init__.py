"""Which places of a frame differ from what the network saw there last, beyond noise."""
