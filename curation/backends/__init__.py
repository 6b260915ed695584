"""What looks at pixels or sound: one folder for each kind. `registry` knows the names; stages hold the policy."""
