"""MAFN: multimodal-aware fusion network."""
