"""Operations: one change each."""
