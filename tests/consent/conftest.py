"""Number of Hypothesis cases: small by default, `-m long` for the full run."""
