"""Models as graphs of layers: capture, cut anywhere, run each part exactly as the whole would."""
