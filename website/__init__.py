"""Build code of the documentation site: `make docs` runs MkDocs with the hooks of this package."""
