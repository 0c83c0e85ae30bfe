"""What happens when Docker creates a container: which runtime it gets, and what it may not have."""
