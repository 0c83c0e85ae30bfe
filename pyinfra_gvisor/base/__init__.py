"""What everything else uses: text, files, errors, and scripts for nodes."""
