"""HTTP in, HTTP out: one module an endpoint or a family of them."""
