"""What apps use in their own tests. It needs nothing but the package itself."""
