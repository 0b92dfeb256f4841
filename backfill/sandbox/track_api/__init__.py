"""The Track API in the sandbox: what it takes and what it refuses."""
