"""A program of ours in the place of runc, so that whoever asks for runc comes to the dispatcher."""
