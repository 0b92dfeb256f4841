"""What else brings a CSV into Bulk Create Events: each as a person would write it with that tool.

``python -m benchmarks.peers.NAME EXPORT URL``; the mapping is flat.yaml's, done by hand. Each says
the seconds and the seconds of CPU from the open file to the last answer, without its imports.
"""
