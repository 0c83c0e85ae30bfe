"""The records of runs that the repository keeps, and the table of them in the documentation."""
