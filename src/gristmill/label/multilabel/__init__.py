"""Multi-label tasks: any number of labels on a row."""
