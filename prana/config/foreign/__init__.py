"""Property names of the programs that Prana replaces: which of our keys stands for each, and which have none."""
