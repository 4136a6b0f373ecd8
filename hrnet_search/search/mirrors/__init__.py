"""Where trials that ended are shown as well."""
