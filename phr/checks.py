"""System checks with ids and hints: a wrong deployment is refused, and told how to mend it."""
