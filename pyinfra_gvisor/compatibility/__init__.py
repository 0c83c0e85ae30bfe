"""What was seen at work together: a record of each node by a run, and the table of those kept."""
