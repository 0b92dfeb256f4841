"""Events become request bodies here, in the bytes that each of Klaviyo's APIs takes."""
