"""What goes in and out of a model: weight files."""
