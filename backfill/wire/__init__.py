"""Turns events into request bodies, in the bytes that each of Klaviyo's APIs takes."""
