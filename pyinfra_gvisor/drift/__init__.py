"""Whether a fleet is as declared: a dry run of pyinfra whose exit code can be relied on."""
