"""How the tables came to be what they are: one linear history; a file name begins with its revision."""
