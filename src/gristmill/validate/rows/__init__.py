"""Good rows and bad rows: whole tables at once, or one record at a time."""
