"""Model unit tests: rows drawn from a schema, fed to training and serving code."""
