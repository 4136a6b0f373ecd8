"""What confirms the search: duels first, then more seeds and longer trainings."""
