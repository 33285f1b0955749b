"""The router and its endpoints: routes, submission, listing, bulk requests, health, OpenAPI."""
