"""Deploys: the story in order."""
