"""The runtime-spec's JSON to a Config and back (github.com/opencontainers/runtime-spec, 1.3)."""
