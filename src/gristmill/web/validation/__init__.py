"""The pages of validation: what a check found, and every feature beside its baseline."""
