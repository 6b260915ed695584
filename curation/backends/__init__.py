"""One file per model that looks at pixels or sound; stages hold the policy."""
