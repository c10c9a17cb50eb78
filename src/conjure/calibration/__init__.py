"""What a distance means in a process: where pairs of texts of known kinds lie in it."""
