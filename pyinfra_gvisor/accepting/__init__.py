"""Accept a platform's own containers as infrastructure: what nodes have, and what is written."""
