"""What an audit finds on a node, by rules that are data: who must be sandboxed, and who is."""
