"""How far a study is to be trusted."""
