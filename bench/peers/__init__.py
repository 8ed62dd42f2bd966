"""What compare.py is made of: the peers, the race between them, a module for each group of work."""
