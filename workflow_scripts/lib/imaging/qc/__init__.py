"""Quality control: numbers measured on every scan, the decision on it, and the page on which a person looks at it."""
