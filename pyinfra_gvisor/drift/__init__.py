"""Whether a fleet is as declared: a dry run of pyinfra with a reliable exit code."""
