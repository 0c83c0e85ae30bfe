"""Reports of an audit: for people, for CI jobs and for monitoring."""
