"""`harness compare`: finding what is compared, and showing the result on a terminal, in a paper or to a program."""
