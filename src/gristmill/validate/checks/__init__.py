"""A table against its schema and its baseline: rules, findings, the report."""
