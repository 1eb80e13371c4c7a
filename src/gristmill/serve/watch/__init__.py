"""Watch: what a running server counts, logs and traces, and how what it serves drifts."""
