"""Coolify: patch its control host to honour ``--runtime``, and set the option on its apps."""
