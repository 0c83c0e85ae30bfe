"""The audit of a node: rules as data, and what each rule finds."""
