"""The YAML file that describes how an export becomes events."""
