"""What a table must look like: the schema, its text, how it is inferred and edited."""
