"""What runs, in which order and when."""
