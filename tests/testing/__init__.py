"""Gates in CI: a test, an action, a template and a hook."""
