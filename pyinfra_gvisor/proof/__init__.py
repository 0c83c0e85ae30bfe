"""The proof of isolation: the checks as data, how each is judged, and what it all comes to."""
