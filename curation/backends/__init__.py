"""What looks at pixels or sound, a folder a kind; `registry` knows the names. Stages hold the policy."""
