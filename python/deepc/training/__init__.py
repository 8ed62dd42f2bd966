"""Training: the one engine, and what it needs."""
