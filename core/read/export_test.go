package read

// ExplainSearch shows how the database finds the words of a search.
const ExplainSearch = `EXPLAIN SELECT t.id FROM files t WHERE ` + live + ` AND ` + nameWords + ` @@ to_tsquery('simple', 'needle:*')
	UNION SELECT x.file_id FROM file_texts x WHERE ` + textWords + ` @@ to_tsquery('simple', 'needle')`

// WordsQuery writes a term in the query language of PostgreSQL.
func WordsQuery(term string) string {
	_, inText := terms([]string{term}, " & ")
	return inText
}

// Punctuation parts words.
const Punctuation = punctuation

// NameCondition is the condition of a search for the beginning of a user's name.
func NameCondition(name string) (string, []any) {
	return UserFilter{Term: name}.where()
}

// WithoutICU makes a Store that found no collations in its database.
func (s *Store) WithoutICU() *Store {
	return &Store{db: s.db, collations: collations{names: map[string]string{}}}
}
