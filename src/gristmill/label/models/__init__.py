"""Label models: what turns the votes of many sources into one label."""
