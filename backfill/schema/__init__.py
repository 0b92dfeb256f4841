"""The YAML file that says how an export becomes events."""
