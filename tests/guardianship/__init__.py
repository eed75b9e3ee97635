"""G-01 to G-20, told as they happen."""
