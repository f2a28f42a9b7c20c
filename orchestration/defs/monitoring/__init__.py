"""What SQL can't express: Evidently."""
