"""`harness check`: what the code computes now against a committed reference. No torch here."""
