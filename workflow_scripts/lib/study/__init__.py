"""What every script needs: logs, seeds, atomic writing, code hashes, table schemas. No science."""
