"""What a step trains on: batches as a pure function of data, seed and step, and their loss."""
