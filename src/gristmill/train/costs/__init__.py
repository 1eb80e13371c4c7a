"""What a model costs: bytes and seconds measured by a short pilot, and the plans made from them."""
