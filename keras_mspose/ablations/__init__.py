"""Shipped ablations, one YAML file each: `mspose ablate NAME`."""
