"""TinyFCN, a network, and `tiles`, a data set layout: what a package outside of rrsis-harness adds to it."""
