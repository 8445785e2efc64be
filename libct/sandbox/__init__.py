"""Commands in throwaway containers over the host's own files."""
