"""Real programs: what is predicted of them, what a trial says, and what is true."""
