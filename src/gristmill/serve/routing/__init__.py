"""What a route answers with: several models behind one name, chosen, compared or swapped."""
