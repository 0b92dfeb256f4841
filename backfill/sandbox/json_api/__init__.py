"""Klaviyo's JSON:API in the sandbox: what it takes, refuses and gives back."""
