"""Helpers for the tests of apps. They need only the package itself."""
