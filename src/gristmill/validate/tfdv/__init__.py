"""Coming from TensorFlow Data Validation: schema, statistics and anomalies files."""
