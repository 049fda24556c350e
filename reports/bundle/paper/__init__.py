"""A bundle's PDF on paper: whether it is a print of its page, what it says, and whether each letter of it can be seen."""
