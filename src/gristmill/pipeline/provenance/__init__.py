"""What is kept of a run beside its results: what steps printed, their source, where they ran."""
