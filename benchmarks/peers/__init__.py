"""Other tools on the same rows, each a program for an environment of its own."""
