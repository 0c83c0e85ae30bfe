"""What operations and deploys share in a run: its messages, summary, reports and transactions."""
