"""What the sandbox's server does for every request, and the pages that people look at."""
