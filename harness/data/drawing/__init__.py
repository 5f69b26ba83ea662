"""MiniRRSIS, the drawn data set: scenes, their objects, and sentences that are true of them."""
