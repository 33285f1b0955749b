"""Models of request and response bodies, task types and the params of tasks."""
