"""What the votes, and gold where there is some, say about the sources."""
