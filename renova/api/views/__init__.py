"""What a client sees, per microversion."""
