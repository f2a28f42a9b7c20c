"""What arrives: the raw tables."""
