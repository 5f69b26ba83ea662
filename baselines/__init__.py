"""Networks of the family that MAFN builds on: LAVT and RMSIN, and the layers they share."""
