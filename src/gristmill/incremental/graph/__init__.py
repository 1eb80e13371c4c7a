"""A captured network: its operators, each with the rule of what a change of its input reaches."""
