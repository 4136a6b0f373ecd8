"""What an ablation found, as tables and pictures."""
