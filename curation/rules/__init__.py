"""What a rule is: stored scores held against limits. One description for the stages, `decide` and the report."""
