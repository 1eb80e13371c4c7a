"""What is served against what was learned: findings, and what is done about them."""
