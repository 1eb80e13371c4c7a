"""What everyone may import and what imports nobody."""
