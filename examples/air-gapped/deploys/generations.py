"""List what each node can be rolled back to."""

from pyinfra_gvisor import list_generations

list_generations()
